import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, ProjectId, ServerId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import { ATTEMPT_MOVES, type AttemptState, attemptStatesBefore, isOver } from '@helixcode/protocol/task/attempt-state';
import type { TaskPolicy } from '@helixcode/protocol/task/task-spec';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import type { Db } from '../db/db.ts';
import type { OutputPiece, RoutedOrders, WantedJob } from '../workers/job-book.ts';
import { jobOfAttempt } from './attempt-job.ts';
import type { AttemptRow, RestorePoint } from './task-row.ts';

const OVER_STATES = (Object.keys(ATTEMPT_MOVES) as AttemptState[]).filter(isOver);

export interface NewAttempt {
  id: AttemptId;
  task: TaskId;
  number: number;
  worker: WorkerId;
  isCopy: boolean;
  /** The checkpoint it begins at. */
  restore: RestorePoint | null;
}

/** @param server who places them: what goes to a worker of another one is left for that one to send */
export async function insertAttempts(db: Db, server: ServerId, attempts: NewAttempt[]): Promise<void> {
  await db.query(
    `insert into task_attempts (id, task_id, number, worker_id, state, is_copy, restore, to_send)
     select n.id, task_id, number, worker_id, 'assigned', is_copy, restore::jsonb, w.server_id is distinct from $7
       from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::boolean[], $6::text[]) as n(id, task_id, number, worker_id, is_copy, restore)
       join workers w on w.id = n.worker_id`,
    [
      attempts.map((attempt) => attempt.id),
      attempts.map((attempt) => attempt.task),
      attempts.map((attempt) => attempt.number),
      attempts.map((attempt) => attempt.worker),
      attempts.map((attempt) => attempt.isCopy),
      attempts.map((attempt) => (attempt.restore ? JSON.stringify(attempt.restore) : null)),
      server,
    ],
  );
}

/** Takes the attempts that other servers have placed on workers of this one. */
export async function takeRoutedAttempts(db: Db, server: ServerId): Promise<RoutedOrders['assign']> {
  const { rows } = await db.query<{
    worker: WorkerId;
    attempt: AttemptId;
    spec: JobSpec;
    policy: TaskPolicy;
    restore: RestorePoint | null;
  }>(
    `update task_attempts a set to_send = false
       from workers w, distributed_tasks t
      where a.to_send and w.id = a.worker_id and w.server_id = $1 and t.id = a.task_id
        and not a.is_complete and a.state = 'assigned' and not a.cancel_asked
      returning a.worker_id as worker, a.id as attempt, t.job as spec, t.policy, a.restore`,
    [server],
  );
  return rows.map(({ policy, restore, spec, ...routed }) => ({ ...routed, spec: jobOfAttempt(spec, policy, restore) }));
}

/** Attempts on workers of a server that should stop and have not said yet that they did. */
export async function listCancelsFor(db: Db, server: ServerId): Promise<RoutedOrders['cancel']> {
  const { rows } = await db.query<{ worker: WorkerId; attempt: AttemptId }>(
    `select a.worker_id as worker, a.id as attempt from task_attempts a join workers w on w.id = a.worker_id
      where a.cancel_asked and not a.is_complete and w.server_id = $1`,
    [server],
  );
  return rows;
}

/** A link that begins is told of all that is wanted: nothing is left to send beside it. */
export async function endRouting(db: Db, worker: WorkerId): Promise<void> {
  await db.query(`update task_attempts set to_send = false where worker_id = $1 and to_send`, [worker]);
}

export interface TakenRow {
  worker_id: WorkerId;
  root_id: TaskId;
  project_id: ProjectId | null;
  /** Jobs that hold a slot or wait for one. */
  taken: number;
  /** Jobs that only hold a checkout. */
  seats: number;
}

export async function countTakenSlots(db: Db): Promise<TakenRow[]> {
  const { rows } = await db.query<TakenRow>(
    `select a.worker_id, t.root_id, t.project_id, (count(*) filter (where not t.is_seat))::int as taken, (count(*) filter (where t.is_seat))::int as seats
       from task_attempts a join distributed_tasks t on t.id = a.task_id
      where not a.is_complete and a.state in ('assigned', 'preparing', 'running') group by 1, 2, 3`,
  );
  return rows;
}

export async function listWantedJobs(db: Db, worker: WorkerId): Promise<WantedJob[]> {
  const { rows } = await db.query<WantedJob & { policy: TaskPolicy; restore: RestorePoint | null }>(
    `select a.id as attempt, t.job as spec, t.policy, a.restore, a.cancel_asked as "cancelAsked", a.state <> 'assigned' as "hasStarted"
       from task_attempts a join distributed_tasks t on t.id = a.task_id where a.worker_id = $1 and not a.is_complete`,
    [worker],
  );
  return rows.map(({ policy, restore, ...wanted }) => ({ ...wanted, spec: jobOfAttempt(wanted.spec, policy, restore) }));
}

export interface MovedAttempt extends AttemptRow {
  root_id: TaskId;
}

/**
 * Takes reports: moves each attempt that the report really moves (the state table is the guard), keeps the numbers of
 * all. One that has exited becomes lost while its output is not stored yet, when the worker says that it is gone.
 * One that is over with all of its output stored is complete, unless its worker had been given up: whoever reads how
 * attempts stand decides then.
 * @returns only the attempts whose state changed
 */
export async function takeReports(db: Db, reports: JobReport[]): Promise<MovedAttempt[]> {
  const { rows } = await db.query<MovedAttempt>(
    `update task_attempts a
        set state = r.state, exit_code = r.exit_code, reason = nullif(r.reason, 'null'), streams = r.streams,
            wall_ms = coalesce(r.wall_ms, a.wall_ms), cpu_ms = coalesce(r.cpu_ms, a.cpu_ms),
            prepare_ms = coalesce(r.prepare_ms, a.prepare_ms), outputs_blob = r.outputs_blob,
            started_at = case when r.state in ('running', 'exited') and a.started_at is null
                              then now() - make_interval(secs => coalesce(r.wall_ms, 0) / 1000.0) else a.started_at end,
            finished_at = case when r.state = any($2) then now() end,
            is_complete = r.state = any($2) and a.fenced is null and not exists (
              select 1 from jsonb_each_text(r.streams) s(stream, length)
               where s.length::bigint > 0
                 and s.length::bigint > coalesce((select max(c.off + octet_length(c.data)) from output_chunks c
                                                   where c.attempt_id = a.id and c.stream = s.stream), 0))
       from (select x->>'attempt' as id, x->>'state' as state, (x->>'exitCode')::int as exit_code, x->'reason' as reason,
                    x->'streams' as streams, (x->>'wallMs')::float8 as wall_ms, (x->>'cpuMs')::float8 as cpu_ms,
                    (x->>'prepareMs')::float8 as prepare_ms, x->>'outputsBlob' as outputs_blob
               from jsonb_array_elements($1::jsonb) x) r, distributed_tasks t
      where a.id = r.id and t.id = a.task_id and not a.is_complete
        and a.state = any(case r.state when 'preparing' then $3::text[] when 'running' then $4::text[]
                               when 'lost' then $5::text[] || 'exited'::text else $5::text[] end)
      returning a.*, t.root_id`,
    [JSON.stringify(reports), OVER_STATES, attemptStatesBefore('preparing'), attemptStatesBefore('running'), attemptStatesBefore('exited')],
  );
  return rows;
}

export interface AttemptStanding {
  id: AttemptId;
  task_id: TaskId;
  state: AttemptState;
  is_complete: boolean;
  cancel_asked: boolean;
  fenced: ErrorFact | null;
  streams: Record<string, number>;
  /** Stream → bytes stored so far. */
  stored: Record<string, number>;
}

/** How far attempts and their output are stored. */
export async function readStandings(db: Db, attempts: AttemptId[]): Promise<AttemptStanding[]> {
  const { rows } = await db.query<AttemptStanding>(
    `select a.id, a.task_id, a.state, a.is_complete, a.cancel_asked, a.fenced, a.streams,
            coalesce((select jsonb_object_agg(s.stream, s.length)
                        from (select c.stream, max(c.off + octet_length(c.data)) as length from output_chunks c
                               where c.attempt_id = a.id group by c.stream) s), '{}') as stored
       from task_attempts a where a.id = any($1)`,
    [attempts],
  );
  return rows;
}

/** Closes attempts whose outcome and output are stored to the end; only the first closer gets the row. */
export async function completeAttempts(db: Db, attempts: AttemptId[]): Promise<AttemptRow[]> {
  const { rows } = await db.query<AttemptRow>(
    `update task_attempts set is_complete = true where id = any($1) and not is_complete returning *`,
    [attempts],
  );
  return rows;
}

/**
 * Stores output; a piece whose start is already stored is skipped, and a piece of an unknown attempt is dropped.
 *
 * All bytes travel as one value: an array of byte strings would be sent as text, twice as long and slow to read.
 */
export async function insertOutput(db: Db, pieces: OutputPiece[]): Promise<void> {
  const lengths = pieces.map((piece) => piece.bytes.byteLength);
  let start = 1;
  const starts = lengths.map((length) => (start += length) - length);
  await db.query(
    `insert into output_chunks (attempt_id, stream, off, data)
     select p.attempt_id, p.stream, p.off, substr($4::bytea, p.start, p.length)
       from unnest($1::text[], $2::text[], $3::bigint[], $5::int[], $6::int[]) as p(attempt_id, stream, off, start, length)
      where exists (select 1 from task_attempts a where a.id = p.attempt_id)
     on conflict do nothing`,
    [
      pieces.map((piece) => piece.attempt),
      pieces.map((piece) => piece.stream),
      pieces.map((piece) => piece.offset),
      Buffer.concat(pieces.map((piece) => piece.bytes)),
      starts,
      lengths,
    ],
  );
}

/** The chunk that holds byte `from` and those after it, in order, until `limit` chunks. */
export async function readOutput(
  db: Db,
  attempt: AttemptId,
  stream: string,
  from: number,
  limit: number,
): Promise<{ off: number; data: Buffer }[]> {
  const { rows } = await db.query<{ off: number; data: Buffer }>(
    `select off, data from output_chunks where attempt_id = $1 and stream = $2
        and off >= coalesce((select max(off) from output_chunks where attempt_id = $1 and stream = $2 and off <= $3), 0)
      order by off limit $4`,
    [attempt, stream, from, limit],
  );
  return rows;
}

/** Bytes stored of a stream; 0 when there is none. */
export async function readStreamLength(db: Db, attempt: AttemptId, stream: string): Promise<number> {
  const { rows } = await db.query<{ length: number }>(
    `select coalesce(max(off + octet_length(data)), 0)::bigint as length from output_chunks where attempt_id = $1 and stream = $2`,
    [attempt, stream],
  );
  return rows[0]?.length ?? 0;
}

export async function listAttempts(db: Db, root: TaskId): Promise<AttemptRow[]> {
  const { rows } = await db.query<AttemptRow>(
    `select a.* from task_attempts a join distributed_tasks t on t.id = a.task_id where t.root_id = $1 order by a.number`,
    [root],
  );
  return rows;
}

export async function listAttemptsOfTask(db: Db, task: TaskId): Promise<AttemptRow[]> {
  const { rows } = await db.query<AttemptRow>(`select * from task_attempts where task_id = $1 order by number`, [task]);
  return rows;
}

/** Asks for the end of every live attempt of these tasks, but `keep`. */
export async function askCancel(db: Db, tasks: TaskId[], keep: AttemptId | undefined): Promise<{ id: AttemptId; worker_id: WorkerId }[]> {
  const { rows } = await db.query<{ id: AttemptId; worker_id: WorkerId }>(
    `update task_attempts set cancel_asked = true
      where task_id = any($1) and not is_complete and id is distinct from $2 returning id, worker_id`,
    [tasks, keep ?? null],
  );
  return rows;
}

/**
 * Takes attempts out of the count: whatever becomes of them, their task goes on without them. What has not begun yet is
 * not to begin later.
 *
 * @param of all of these tasks that count, or some of them
 * @param stop whether they are asked to end too
 */
export async function fenceAttempts(
  db: Db,
  of: { tasks: TaskId[]; attempts: AttemptId[] | undefined },
  reason: ErrorFact,
  stop: boolean,
): Promise<{ id: AttemptId; worker_id: WorkerId; number: number }[]> {
  const { rows } = await db.query<{ id: AttemptId; worker_id: WorkerId; number: number }>(
    `update task_attempts set fenced = $3, cancel_asked = cancel_asked or $4 or state = 'assigned'
      where task_id = any($1) and ($2::text[] is null or id = any($2)) and not is_complete and fenced is null
      returning id, worker_id, number`,
    [of.tasks, of.attempts ?? null, JSON.stringify(reason), stop],
  );
  return rows;
}

/** Declares the live attempts of a worker lost: it has been silent for too long, or was removed. */
export async function loseAttempts(db: Db, worker: WorkerId, reason: object): Promise<AttemptRow[]> {
  const { rows } = await db.query<AttemptRow>(
    `update task_attempts set state = 'lost', reason = $2, is_complete = true, finished_at = now()
      where worker_id = $1 and not is_complete returning *`,
    [worker, JSON.stringify(reason)],
  );
  return rows;
}

/** The same of some attempts. */
export async function loseAttemptsById(db: Db, attempts: AttemptId[], reason: object): Promise<AttemptRow[]> {
  const { rows } = await db.query<AttemptRow>(
    `update task_attempts set state = 'lost', reason = $2, is_complete = true, finished_at = now()
      where id = any($1) and not is_complete returning *`,
    [attempts, JSON.stringify(reason)],
  );
  return rows;
}

export async function countLiveAttempts(db: Db, worker: WorkerId): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(*)::int as count from task_attempts where worker_id = $1 and not is_complete and state = any($2)`,
    [worker, ['assigned', 'preparing', 'running']],
  );
  return rows[0]?.count ?? 0;
}
