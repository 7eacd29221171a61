import type { AttemptId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import { statesBefore, type TaskState } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import type { AttemptRow, LeafPolicy, TaskPause } from './task-row.ts';

/** An attempt that counts and whose worker may be out of reach. */
export interface AttemptOnWorker {
  id: AttemptId;
  number: number;
  worker_id: WorkerId;
  task_id: TaskId;
  root_id: TaskId;
  name: string;
  policy: LeafPolicy;
  pause_waived: boolean;
}

/** Attempts that count of running leaves, on any of these workers. */
export async function listAttemptsOn(db: Db, workers: WorkerId[]): Promise<AttemptOnWorker[]> {
  const { rows } = await db.query<AttemptOnWorker>(
    `select a.id, a.number, a.worker_id, a.task_id, t.root_id, t.name, t.policy, a.pause_waived
       from task_attempts a join distributed_tasks t on t.id = a.task_id
      where a.worker_id = any($1) and not a.is_complete and a.fenced is null and (not a.cancel_asked or a.pause_asked) and t.state = 'running'
      order by a.assigned_at`,
    [workers],
  );
  return rows;
}

/** Trees that wait for a critical part. */
export async function listPausedRoots(db: Db): Promise<TaskId[]> {
  const { rows } = await db.query<{ root_id: TaskId }>(
    `select distinct root_id from distributed_tasks where pause is not null and state = 'paused'`,
  );
  return rows.map((row) => row.root_id);
}

/** Pauses what waits in a tree, and its root; what runs is not touched. */
export async function pauseWaiting(db: Db, root: TaskId, pause: TaskPause): Promise<{ id: TaskId; from_state: TaskState }[]> {
  const { rows } = await db.query<{ id: TaskId; from_state: TaskState }>(
    `with before as (
       select id, state from distributed_tasks
        where root_id = $1 and state = any($3) and (state = 'pending' or (id = root_id and not is_leaf)) for update)
     update distributed_tasks t set state = 'paused', pause = $2, waiting_for = null
       from before where t.id = before.id
     returning t.id, before.state as from_state`,
    [root, JSON.stringify(pause), statesBefore('pause')],
  );
  return rows;
}

/** Asks running leaves that can be recorded to stop at a checkpoint; what cannot be recorded runs to its end. */
export async function askPause(db: Db, root: TaskId, silent: WorkerId[]): Promise<{ id: AttemptId; worker_id: WorkerId }[]> {
  const { rows } = await db.query<{ id: AttemptId; worker_id: WorkerId }>(
    `update task_attempts a set pause_asked = true, cancel_asked = true
       from distributed_tasks t
      where t.id = a.task_id and t.root_id = $1 and t.state = 'running' and t.is_leaf and t.policy->'checkpoint' is not null
        and t.job->'workspace' is not null and not a.is_complete and a.fenced is null and not a.cancel_asked and a.worker_id <> all($2)
      returning a.id, a.worker_id`,
    [root, silent],
  );
  return rows;
}

/** Says of leaves that stopped because their tree is paused what they wait for. */
export async function copyPause(db: Db, leaves: TaskId[]): Promise<void> {
  await db.query(`update distributed_tasks t set pause = r.pause from distributed_tasks r where t.id = any($1) and r.id = t.root_id`, [
    leaves,
  ]);
}

/** Which of these trees are paused. */
export async function listPausedAmong(db: Db, roots: TaskId[]): Promise<TaskId[]> {
  const { rows } = await db.query<{ id: TaskId }>(`select id from distributed_tasks where id = any($1) and state = 'paused'`, [roots]);
  return rows.map((row) => row.id);
}

/**
 * Lets everything in a tree go on that was paused for the sake of a critical part. What is just being stopped for it is
 * waited for: it either is paused by then and goes on with the others, or will find that its tree is not paused any more.
 */
export async function resumeTree(db: Db, root: TaskId): Promise<{ id: TaskId }[]> {
  await db.query(`select from distributed_tasks where root_id = $1 and is_leaf and finished_at is null order by id for update`, [root]);
  const { rows } = await db.query<{ id: TaskId }>(
    `update distributed_tasks set state = 'pending', pause = null, not_before = now()
      where root_id = $1 and state = any($2) and pause is not null returning id`,
    [root, statesBefore('resume')],
  );
  return rows;
}

/** Nobody waits for these attempts any more, until their workers are back. */
export async function waivePause(db: Db, attempts: AttemptId[]): Promise<void> {
  await db.query(`update task_attempts set pause_waived = true where id = any($1)`, [attempts]);
}

/** Attempts whose workers are back are waited for the next time those fall silent. */
export async function endWaivers(db: Db, silent: WorkerId[]): Promise<void> {
  await db.query(`update task_attempts set pause_waived = false where pause_waived and not is_complete and worker_id <> all($1)`, [silent]);
}

/** Lets a fenced attempt count again. */
export async function unfence(db: Db, attempt: AttemptId): Promise<AttemptRow | undefined> {
  const { rows } = await db.query<AttemptRow>(
    `update task_attempts set fenced = null where id = $1 and fenced is not null and not is_complete returning *`,
    [attempt],
  );
  return rows[0];
}
