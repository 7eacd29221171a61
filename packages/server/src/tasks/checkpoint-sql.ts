import type { AttemptId, ProjectId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { TaskPolicy } from '@helixcode/protocol/task/task-spec';
import type { CheckpointCause, CheckpointHeader, LeftOutFile } from '@helixcode/protocol/worker/checkpoint';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { Db } from '../db/db.ts';
import type { RestorePoint } from './task-row.ts';

/** A row of `task_checkpoints`, with the number of its attempt. */
export interface CheckpointRow {
  task_id: TaskId;
  number: number;
  attempt: number;
  cause: CheckpointCause;
  name: string | null;
  commit_hash: string;
  files: number;
  bundle_bytes: number;
  took_ms: number;
  left_out: LeftOutFile[];
  left_out_count: number;
  created_at: Date;
  dropped_at: Date | null;
}

/** An attempt whose checkout may be recorded. */
export interface RecordableAttempt {
  id: AttemptId;
  number: number;
  task_id: TaskId;
  root_id: TaskId;
  project_id: ProjectId | null;
  task_name: string;
  worker_id: WorkerId;
  state: string;
  policy: TaskPolicy;
  job: JobSpec;
}

/** The attempt, as long as it counts. */
export async function findLiveAttempt(db: Db, id: AttemptId): Promise<RecordableAttempt | undefined> {
  const { rows } = await db.query<RecordableAttempt>(
    `select a.id, a.number, a.task_id, t.root_id, t.project_id, t.name as task_name, a.worker_id, a.state, t.policy, t.job
       from task_attempts a join distributed_tasks t on t.id = a.task_id
      where a.id = $1 and not a.is_complete and a.fenced is null`,
    [id],
  );
  return rows[0];
}

/** Attempts under way of a task, or of the parts of a divided one. */
export async function listLiveAttempts(db: Db, task: TaskId): Promise<RecordableAttempt[]> {
  const { rows } = await db.query<RecordableAttempt>(
    `select a.id, a.number, a.task_id, t.root_id, t.project_id, t.name as task_name, a.worker_id, a.state, t.policy, t.job
       from task_attempts a join distributed_tasks t on t.id = a.task_id
      where (t.id = $1 or t.parent_id = $1) and t.state = 'running' and not a.is_complete and a.fenced is null
      order by a.number desc`,
    [task],
  );
  return rows;
}

/** The number of the next checkpoint of a task; numbers are never used twice. */
export async function nextCheckpointNumber(db: Db, task: TaskId): Promise<number> {
  const { rows } = await db.query<{ number: number }>(
    `select coalesce(max(number), 0) + 1 as number from task_checkpoints where task_id = $1`,
    [task],
  );
  return rows[0]?.number ?? 1;
}

/** One whose files are kept. */
export async function findCheckpoint(db: Db, task: TaskId, number: number): Promise<CheckpointRow | undefined> {
  const { rows } = await db.query<CheckpointRow>(
    `select c.*, a.number as attempt from task_checkpoints c join task_attempts a on a.id = c.attempt_id
      where c.task_id = $1 and c.number = $2 and c.dropped_at is null`,
    [task, number],
  );
  return rows[0];
}

/** Writes a checkpoint down, if its attempt still counts. */
export async function insertCheckpoint(
  db: Db,
  attempt: AttemptId,
  checkpoint: CheckpointHeader & { number: number; name: string | undefined },
): Promise<CheckpointRow | undefined> {
  const { rows } = await db.query<CheckpointRow>(
    `with added as (
       insert into task_checkpoints (task_id, number, attempt_id, cause, name, commit_hash, files, bundle_bytes, took_ms, left_out, left_out_count)
       select a.task_id, $2, a.id, $3, $4, $5, $6, $7, $8, $9, $10
         from task_attempts a where a.id = $1 and not a.is_complete and a.fenced is null
       returning *)
     select c.*, a.number as attempt from added c join task_attempts a on a.id = c.attempt_id`,
    [
      attempt,
      checkpoint.number,
      checkpoint.cause,
      checkpoint.name ?? null,
      checkpoint.commit,
      checkpoint.files,
      checkpoint.bundleBytes,
      checkpoint.tookMs,
      JSON.stringify(checkpoint.leftOut),
      checkpoint.leftOutCount,
    ],
  );
  return rows[0];
}

/**
 * Lets the next attempt begin at a checkpoint. What a failed command left is kept for people to look at, but nothing
 * begins there by itself; what one left that was asked to stop is where it goes on.
 */
export async function beginNextAt(db: Db, attempt: AttemptId, point: RestorePoint, cause: CheckpointCause): Promise<void> {
  await db.query(
    `update distributed_tasks t set restore = $2
       from task_attempts a where a.id = $1 and t.id = a.task_id and ($3 <> 'end' or a.cancel_asked)`,
    [attempt, JSON.stringify(point), cause],
  );
}

/**
 * Gives up the oldest automatic checkpoints beyond `keep`, but never the one where the next attempt begins.
 * @returns whether there were any
 */
export async function dropOldest(db: Db, task: TaskId, keep: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `update task_checkpoints c set dropped_at = now()
       from (select number from task_checkpoints where task_id = $1 and cause <> 'asked' and dropped_at is null
              order by number desc offset $2) old, distributed_tasks t
      where c.task_id = $1 and c.number = old.number and t.id = $1 and c.number is distinct from (t.restore->>'number')::int`,
    [task, keep],
  );
  return rowCount > 0;
}

/** Numbers whose files are to be kept. */
export async function listKeptNumbers(db: Db, task: TaskId): Promise<number[]> {
  const { rows } = await db.query<{ number: number }>(`select number from task_checkpoints where task_id = $1 and dropped_at is null`, [
    task,
  ]);
  return rows.map((row) => row.number);
}

/** Of a task and of everything below it, oldest first. */
export async function listCheckpoints(db: Db, task: TaskId): Promise<CheckpointRow[]> {
  const { rows } = await db.query<CheckpointRow>(
    `with recursive tree as (
       select id from distributed_tasks where id = $1
       union all
       select t.id from distributed_tasks t join tree on t.parent_id = tree.id)
     select c.*, a.number as attempt
       from task_checkpoints c join tree on tree.id = c.task_id join task_attempts a on a.id = c.attempt_id
      order by c.created_at, c.task_id, c.number`,
    [task],
  );
  return rows;
}

/** A checkpoint whose files are kept, by number or the newest by name. */
export async function findRestorePoint(db: Db, task: TaskId, by: { number?: number; name?: string }): Promise<RestorePoint | undefined> {
  const { rows } = await db.query<RestorePoint>(
    `select number, commit_hash as commit from task_checkpoints
      where task_id = $1 and dropped_at is null and ($2::int is null or number = $2) and ($3::text is null or name = $3)
      order by number desc limit 1`,
    [task, by.number ?? null, by.name ?? null],
  );
  return rows[0];
}

export async function setRestore(db: Db, task: TaskId, point: RestorePoint | null): Promise<void> {
  await db.query(`update distributed_tasks set restore = $2 where id = $1`, [task, point && JSON.stringify(point)]);
}
