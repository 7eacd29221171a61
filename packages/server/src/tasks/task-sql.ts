import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { ProjectId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { TaskPolicy } from '@helixcode/protocol/task/task-spec';
import { isSettled, SETTLED_TASK_STATES, statesBefore, type TaskCommand, type TaskState } from '@helixcode/protocol/task/task-state';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { Db } from '../db/db.ts';
import type { NewTask, Progress, RestorePoint, TaskRow, TaskSummaryRow } from './task-row.ts';

/**
 * Inserts tasks; one whose parent already has a child of that key is left out: dividing twice is harmless. Leaves whose
 * placement asks for the same get the same lane: those of one tree, or tasks of one leaf each.
 */
export async function insertTasks(db: Db, tasks: NewTask[]): Promise<TaskRow[]> {
  const { rows } = await db.query<TaskRow>(
    `insert into distributed_tasks (id, root_id, parent_id, key, project_id, kind, name, is_leaf, spec, job, state, priority,
                                    requires, only_worker, expected_ms, may_copy, max_slots, policy, deadline_at, created_by,
                                    result, restore, finished_at, is_seat, lane)
     select t->>'id', t->>'root', t->>'parent', t->>'key', t->>'project', t->>'kind', t->>'name', (t->>'isLeaf')::boolean,
            t->'spec', nullif(t->'job', 'null'), t->>'state', (t->>'priority')::int,
            array(select jsonb_array_elements_text(t->'requires')), t->>'onlyWorker', (t->>'expectedMs')::float8,
            coalesce((t->>'mayCopy')::boolean, false), (t->>'maxSlots')::int, t->'policy', (t->>'deadlineAt')::timestamptz,
            t->>'createdBy', t->'result', nullif(t->'restore', 'null'), case when t->>'state' = any($2) then now() end,
            coalesce((t->'job'->>'takesSlot')::boolean, true) = false,
            hashtextextended(jsonb_build_array(t->'project', case when t->>'parent' is not null then t->'root' end, t->'onlyWorker',
                                               t->'maxSlots', t->'requires', t->'job'->'takesSlot')::text, 0) >> 11
       from jsonb_array_elements($1::jsonb) t
     on conflict (parent_id, key) do nothing
     returning *`,
    [JSON.stringify(tasks), SETTLED_TASK_STATES],
  );
  return rows;
}

export async function insertDependencies(db: Db, pairs: { task: TaskId; needs: TaskId }[]): Promise<void> {
  await db.query(`insert into task_dependencies (task_id, needs_id) select * from unnest($1::text[], $2::text[]) on conflict do nothing`, [
    pairs.map((pair) => pair.task),
    pairs.map((pair) => pair.needs),
  ]);
}

/** @throws CodedError `task.not_found` */
export async function getTask(db: Db, id: TaskId): Promise<TaskRow> {
  const { rows } = await db.query<TaskRow>(`select * from distributed_tasks where id = $1`, [id]);
  if (!rows[0]) throw new CodedError('task.not_found', `there is no task ${id}`, { next: 'helix tasks list' });
  return rows[0];
}

/** Locks the row until the end of the transaction, so that two movers see each other's outcome. */
export async function lockTask(db: Db, id: TaskId): Promise<TaskRow> {
  const { rows } = await db.query<TaskRow>(`select * from distributed_tasks where id = $1 for update`, [id]);
  if (!rows[0]) throw new CodedError('task.not_found', `there is no task ${id}`, { next: 'helix tasks list' });
  return rows[0];
}

export async function listTree(db: Db, root: TaskId): Promise<TaskSummaryRow[]> {
  const { rows } = await db.query<TaskSummaryRow>(
    `select id, root_id, parent_id, key, project_id, kind, name, is_leaf, state, priority, requires, only_worker, expected_ms, may_copy,
            max_slots, attempts, waiting_for, progress, result, failure, pause, not_before, deadline_at, created_by, created_at, started_at, finished_at
       from distributed_tasks where root_id = $1 order by created_at, id`,
    [root],
  );
  return rows;
}

export async function listChildren(db: Db, parent: TaskId): Promise<TaskRow[]> {
  const { rows } = await db.query<TaskRow>(`select * from distributed_tasks where parent_id = $1 order by created_at, id`, [parent]);
  return rows;
}

export async function findChild(db: Db, parent: TaskId, key: string): Promise<TaskRow | undefined> {
  const { rows } = await db.query<TaskRow>(`select * from distributed_tasks where parent_id = $1 and key = $2`, [parent, key]);
  return rows[0];
}

/** Children by state: what a driver of many trivial leaves looks at, instead of at all of them. */
export async function countChildren(db: Db, parent: TaskId): Promise<Partial<Record<TaskState, number>>> {
  const { rows } = await db.query<{ state: TaskState; count: number }>(
    `select state, count(*)::int as count from distributed_tasks where parent_id = $1 group by state`,
    [parent],
  );
  return Object.fromEntries(rows.map((row) => [row.state, row.count]));
}

/** Root tasks, newest first, older than the row of `before`. */
export async function listRoots(
  db: Db,
  filter: { state: TaskState | undefined; project: string | undefined; before: TaskId | undefined; limit: number },
): Promise<TaskSummaryRow[]> {
  const { rows } = await db.query<TaskSummaryRow>(
    `select t.id, t.root_id, t.parent_id, t.key, t.project_id, t.kind, t.name, t.is_leaf, t.state, t.priority, t.requires, t.only_worker,
            t.expected_ms, t.may_copy, t.max_slots, t.attempts, t.waiting_for, t.progress, t.result, t.failure, t.pause, t.not_before,
            t.deadline_at, t.created_by, t.created_at, t.started_at, t.finished_at
       from distributed_tasks t left join projects p on p.id = t.project_id
      where t.parent_id is null
        and ($1::text is null or t.state = $1)
        and ($2::text is null or t.project_id = $2 or p.name = $2)
        and ($3::text is null or (t.created_at, t.id) < (select created_at, id from distributed_tasks where id = $3))
      order by t.created_at desc, t.id desc limit $4`,
    [filter.state, filter.project, filter.before, filter.limit],
  );
  return rows;
}

/**
 * Moves one task by a command of the state table.
 * @returns the row after the move; `undefined` when the task is not in a state that allows it
 */
export async function moveTask(
  db: Db,
  id: TaskId,
  command: TaskCommand,
  to: TaskState,
  facts: { result?: unknown; failure?: ErrorFact | undefined } = {},
): Promise<TaskRow | undefined> {
  const { rows } = await db.query<TaskRow>(
    `update distributed_tasks
        set state = $3, waiting_for = null,
            result = coalesce($4::jsonb, result), failure = $5::jsonb,
            started_at = case when $3 = 'running' then coalesce(started_at, now()) else started_at end,
            finished_at = case when $6 then now() end
      where id = $1 and state = any($2) returning *`,
    [
      id,
      statesBefore(command),
      to,
      facts.result === undefined ? null : JSON.stringify(facts.result),
      facts.failure === undefined ? null : JSON.stringify(facts.failure),
      isSettled(to),
    ],
  );
  return rows[0];
}

export interface LeafMove {
  id: TaskId;
  to: TaskState;
  result?: unknown;
  failure?: ErrorFact | undefined;
  /** Of a leaf that is tried again: the pause before it. */
  pauseMs?: number;
}

export type MovedLeaf = Pick<TaskRow, 'id' | 'root_id' | 'parent_id' | 'state' | 'failure'>;

/** Ends or re-queues many running leaves at once; one that is no longer running is left as it is. */
export async function moveLeaves(db: Db, moves: LeafMove[]): Promise<MovedLeaf[]> {
  const { rows } = await db.query<MovedLeaf>(
    `update distributed_tasks t
        set state = m.task_state, result = coalesce(nullif(m.result, 'null'), t.result), failure = nullif(m.failure, 'null'),
            waiting_for = null,
            finished_at = case when m.task_state = any($2) then now() end,
            not_before = case when m.task_state = 'pending' then now() + make_interval(secs => m.pause_ms / 1000.0) else t.not_before end
       from (select x->>'id' as task_id, x->>'to' as task_state, x->'result' as result, x->'failure' as failure,
                    coalesce((x->>'pauseMs')::float8, 0) as pause_ms
               from jsonb_array_elements($1::jsonb) x) m
      where t.id = m.task_id and t.state = 'running'
      returning t.id, t.root_id, t.parent_id, t.state, t.failure`,
    [JSON.stringify(moves), SETTLED_TASK_STATES],
  );
  return rows;
}

/** Cancels everything below a task that is not settled, and tells which rows that were. */
export async function cancelDescendants(
  db: Db,
  task: TaskId,
  failure: ErrorFact,
): Promise<{ id: TaskId; root_id: TaskId; from_state: TaskState }[]> {
  const { rows } = await db.query<{ id: TaskId; root_id: TaskId; from_state: TaskState }>(
    `with recursive below as (
       select id from distributed_tasks where parent_id = $1
       union all
       select t.id from distributed_tasks t join below b on t.parent_id = b.id),
     before as (
       select t.id, t.state from distributed_tasks t join below b on b.id = t.id where t.state = any($2) order by t.id for update of t)
     update distributed_tasks t
        set state = 'cancelled', failure = $3::jsonb, finished_at = now(), waiting_for = null
       from before where t.id = before.id
     returning t.id, t.root_id, before.state as from_state`,
    [task, statesBefore('cancel'), JSON.stringify(failure)],
  );
  return rows;
}

/** Puts failed and cancelled leaves below a task back in the queue, as if never tried. */
export async function requeueDescendants(db: Db, task: TaskId): Promise<{ id: TaskId; from_state: TaskState; to_state: TaskState }[]> {
  const { rows } = await db.query<{ id: TaskId; from_state: TaskState; to_state: TaskState }>(
    `with recursive below as (
       select id from distributed_tasks where parent_id = $1
       union all
       select t.id from distributed_tasks t join below b on t.parent_id = b.id),
     before as (
       select t.id, t.state from distributed_tasks t join below b on b.id = t.id where t.state = any($2) order by t.id for update of t)
     update distributed_tasks t
        set state = case when t.job is null and t.is_leaf then 'blocked' else 'pending' end,
            failure = null, finished_at = null, started_at = null, not_before = now()
       from before where t.id = before.id
     returning t.id, before.state as from_state, t.state as to_state`,
    [task, statesBefore('retry').filter((state) => state !== 'running')],
  );
  return rows;
}

export async function saveDriverState(db: Db, id: TaskId, memo: object, progress: Progress | undefined): Promise<void> {
  await db.query(`update distributed_tasks set memo = $2, progress = coalesce($3::jsonb, progress) where id = $1`, [
    id,
    JSON.stringify(memo),
    progress === undefined ? null : JSON.stringify(progress),
  ]);
}

/** Gives a blocked leaf its job: what it waited for is there. */
export async function unblockLeaf(db: Db, id: TaskId, job: JobSpec): Promise<TaskRow | undefined> {
  const { rows } = await db.query<TaskRow>(
    `update distributed_tasks set state = 'pending', job = $2, not_before = now() where id = $1 and state = 'blocked' returning *`,
    [id, JSON.stringify(job)],
  );
  return rows[0];
}

/** Settles a blocked leaf whose result is already known (a build found in the cache). */
export async function settleBlocked(
  db: Db,
  id: TaskId,
  state: TaskState,
  result: unknown,
  failure: ErrorFact | undefined,
): Promise<TaskRow | undefined> {
  const { rows } = await db.query<TaskRow>(
    `update distributed_tasks set state = $2, result = $3::jsonb, failure = $4::jsonb, finished_at = now()
      where id = $1 and state = 'blocked' returning *`,
    [id, state, JSON.stringify(result ?? null), failure === undefined ? null : JSON.stringify(failure)],
  );
  return rows[0];
}

export async function setResult(db: Db, id: TaskId, result: unknown): Promise<void> {
  await db.query(`update distributed_tasks set result = $2 where id = $1`, [id, JSON.stringify(result)]);
}

/** Driven tasks that are not over: their drivers must be alive. */
export async function listDriven(db: Db): Promise<{ id: TaskId; attempts: number }[]> {
  const { rows } = await db.query<{ id: TaskId; attempts: number }>(
    `select id, attempts from distributed_tasks where finished_at is null and not is_leaf and state <> 'paused'`,
  );
  return rows;
}

/** Of a task with a driver that may still have something to do: which of its drivers that is. */
export async function findRound(db: Db, task: TaskId): Promise<number | undefined> {
  const { rows } = await db.query<{ attempts: number }>(
    `select attempts from distributed_tasks where id = $1 and finished_at is null and not is_leaf`,
    [task],
  );
  return rows[0]?.attempts;
}

const PLACEMENT_LOCK = 0x68_65_6c_01;

/** Lets one server at a time place work; the lock ends with the transaction. */
export async function tryLockPlacement(db: Db): Promise<boolean> {
  const { rows } = await db.query<{ ok: boolean }>(`select pg_try_advisory_xact_lock($1) as ok`, [PLACEMENT_LOCK]);
  return rows[0]?.ok ?? false;
}

export interface ReadyLeaf {
  id: TaskId;
  root_id: TaskId;
  parent_id: TaskId | null;
  project_id: ProjectId | null;
  /** Leaves of one lane ask for the same. */
  lane: number;
  priority: number;
  requires: string[];
  only_worker: WorkerId | null;
  expected_ms: number | null;
  max_slots: number | null;
  /** Takes no slot. */
  is_seat: boolean;
  created_at: Date;
  /** May start again elsewhere when a worker loses it. */
  may_be_replaced: boolean;
  waiting_for: string | null;
  /** Workers that tried it before, the latest last. */
  tried: WorkerId[];
}

/**
 * Leaves that may start now: of each lane the first `limit`, by priority, then the longest, then the oldest. It steps from
 * lane to lane and from leaf to leaf along an index: how many wait behind costs nothing.
 */
export async function listReadyLeaves(db: Db, limit: number): Promise<ReadyLeaf[]> {
  const { rows } = await db.query<ReadyLeaf>(
    `with recursive lanes as (
       (select lane from distributed_tasks where state = 'pending' and is_leaf order by lane limit 1)
       union all
       select (select t.lane from distributed_tasks t where t.state = 'pending' and t.is_leaf and t.lane > l.lane order by t.lane limit 1)
         from lanes l where l.lane is not null)
     select t.id, t.root_id, t.parent_id, t.project_id, t.lane, t.priority, t.requires, t.only_worker, t.expected_ms,
            t.max_slots, t.is_seat, t.created_at, (t.policy->>'replaceLost')::int > 0 as may_be_replaced, t.waiting_for,
            case when t.attempts = 0 then '{}'::text[]
                 else array(select a.worker_id from task_attempts a where a.task_id = t.id order by a.number) end as tried
       from lanes l,
            lateral (select * from distributed_tasks p
                      where p.lane = l.lane and p.state = 'pending' and p.is_leaf and p.not_before <= now()
                      order by p.priority desc, p.expected_ms desc nulls last, p.created_at, p.id limit $1) t`,
    [limit],
  );
  return rows;
}

export interface ClaimedLeaf {
  id: TaskId;
  root_id: TaskId;
  job: JobSpec;
  policy: TaskPolicy;
  restore: RestorePoint | null;
  /** Tries so far, with the one that begins now. */
  attempts: number;
}

/** Lets pending leaves run. @returns those that were still pending; a row that somebody is moving at this moment is left alone */
export async function claimLeaves(db: Db, ids: TaskId[]): Promise<ClaimedLeaf[]> {
  const { rows } = await db.query<ClaimedLeaf>(
    `update distributed_tasks t
        set state = 'running', attempts = attempts + 1, waiting_for = null, started_at = coalesce(started_at, now())
       from (select id from distributed_tasks where id = any($1) and state = 'pending' for update skip locked) free
      where t.id = free.id
      returning t.id, t.root_id, t.job, t.policy, t.restore, t.attempts`,
    [ids],
  );
  return rows;
}

export async function setWaitingFor(db: Db, reasons: { id: TaskId; reason: string }[]): Promise<void> {
  await db.query(
    `update distributed_tasks t set waiting_for = r.reason
       from unnest($1::text[], $2::text[]) as r(task_id, reason) where t.id = r.task_id and t.state = 'pending'`,
    [reasons.map((row) => row.id), reasons.map((row) => row.reason)],
  );
}

/** A leaf that has run much longer than expected and may be raced by a copy. */
export interface Straggler {
  task_id: TaskId;
  root_id: TaskId;
  project_id: string | null;
  requires: string[];
  only_worker: WorkerId | null;
  job: JobSpec;
  policy: TaskPolicy;
  restore: RestorePoint | null;
  worker_id: WorkerId;
  attempts: number;
}

export async function lockStragglers(db: Db, limit: number): Promise<Straggler[]> {
  const { rows } = await db.query<Straggler>(
    `select t.id as task_id, t.root_id, t.project_id, t.requires, t.only_worker, t.job, t.policy, t.restore, a.worker_id, t.attempts
       from distributed_tasks t join task_attempts a on a.task_id = t.id and not a.is_complete
      where t.state = 'running' and t.may_copy and a.state = 'running'
        and now() - a.started_at > make_interval(secs => greatest(5, 2 * coalesce(t.expected_ms, 10000) / 1000))
        and not exists (select 1 from task_attempts other where other.task_id = t.id and other.id <> a.id and not other.is_complete)
      order by a.started_at limit $1 for update of t skip locked`,
    [limit],
  );
  return rows;
}

export async function noteCopy(db: Db, ids: TaskId[]): Promise<void> {
  await db.query(`update distributed_tasks set attempts = attempts + 1 where id = any($1)`, [ids]);
}

export async function listOverdue(db: Db): Promise<{ id: TaskId; name: string }[]> {
  const { rows } = await db.query<{ id: TaskId; name: string }>(
    `select id, name from distributed_tasks where finished_at is null and deadline_at < now()`,
  );
  return rows;
}

export async function countUnsettledRoots(db: Db): Promise<Record<string, number>> {
  const { rows } = await db.query<{ state: string; count: number }>(
    `select state, count(*)::int as count from distributed_tasks where parent_id is null and finished_at is null group by state`,
  );
  return Object.fromEntries(rows.map((row) => [row.state, row.count]));
}

/** With these reasons a command ran and failed by itself; with any other one its worker failed it. */
export const BROKEN_LIMITS: readonly string[] = ['job.timed_out', 'output.too_large'];

export interface LeafStanding extends Pick<TaskRow, 'id' | 'root_id' | 'parent_id' | 'name' | 'state' | 'policy' | 'restore'> {
  /** Tries whose command ran and failed. */
  failed_tries: number;
  /** Tries that a worker lost, could not start, or failed (a full disk). */
  lost_tries: number;
  /** Attempts still under way that count. */
  live: number;
  /** No part of a divided task: by itself, or of another kind than what it belongs to. */
  is_whole: boolean;
}

/** Locks leaves and tells how often they were tried. */
export async function lockStandings(db: Db, ids: TaskId[]): Promise<LeafStanding[]> {
  const { rows } = await db.query<LeafStanding>(
    `select t.id, t.root_id, t.parent_id, t.name, t.state, t.policy, t.restore, c.failed_tries, c.lost_tries, c.live,
            t.kind is distinct from (select p.kind from distributed_tasks p where p.id = t.parent_id) as is_whole
       from distributed_tasks t,
            lateral (select count(*) filter (where a.is_complete and a.state in ('exited', 'cancelled') and not w.failed_it and a.fenced is null and not a.pause_asked
                                               and (a.exit_code is distinct from 0 or a.reason is not null))::int as failed_tries,
                            count(*) filter (where case when a.fenced is null then a.is_complete and (a.state in ('lost', 'refused') or w.failed_it)
                                                             and a.reason->>'code' is distinct from 'job.recalled'
                                                        else a.fenced->>'code' = 'job.lost' end)::int as lost_tries,
                            count(*) filter (where not a.is_complete and a.fenced is null)::int as live
                       from task_attempts a,
                            lateral (select coalesce(a.state = 'exited' and a.reason->>'code' <> all($2), false) as failed_it) w
                      where a.task_id = t.id) c
      where t.id = any($1) order by t.id for update of t`,
    [ids, BROKEN_LIMITS],
  );
  return rows;
}

/** Starts another round of a driven task: its driver gets a new name, so that the engine runs it afresh. */
export async function nextRound(db: Db, id: TaskId): Promise<void> {
  await db.query(`update distributed_tasks set attempts = attempts + 1, memo = memo || '{"retried": true}' where id = $1`, [id]);
}

export async function saveDocument(db: Db, task: TaskId, name: string, body: string): Promise<void> {
  await db.query(
    `insert into task_documents (task_id, name, body) values ($1, $2, $3) on conflict (task_id, name) do update set body = excluded.body`,
    [task, name, body],
  );
}

export async function readDocument(db: Db, task: TaskId, name: string): Promise<string | undefined> {
  const { rows } = await db.query<{ body: string }>(`select body from task_documents where task_id = $1 and name = $2`, [task, name]);
  return rows[0]?.body;
}

export async function readDocumentsOfChildren(db: Db, parent: TaskId, name: string): Promise<{ task_id: TaskId; body: string }[]> {
  const { rows } = await db.query<{ task_id: TaskId; body: string }>(
    `select d.task_id, d.body from task_documents d join distributed_tasks t on t.id = d.task_id
      where t.parent_id = $1 and d.name = $2 order by t.created_at, t.id`,
    [parent, name],
  );
  return rows;
}
