import type { MergeQueueId, ProjectId, TaskId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

/** Advisory lock of whoever removes things, or needs that nothing is removed. */
export const SWEEP_LOCK = 0x68_65_6c_02;

/** Lets one server at a time remove things; the lock ends with the transaction. */
export async function tryLockSweep(tx: Db): Promise<boolean> {
  const { rows } = await tx.query<{ ok: boolean }>(`select pg_try_advisory_xact_lock($1) as ok`, [SWEEP_LOCK]);
  return rows[0]?.ok ?? false;
}

/** What there is to remove of one tree. */
export interface TreeGarbage {
  root_id: TaskId;
  count: number;
  bytes: number;
  finished_at: Date;
}

/**
 * Finished trees whose output goes: those that ended before `before`, and from the oldest on so many that what is left,
 * unfinished trees included, is at most `maxBytes`. Oldest first.
 */
export async function listTreesWithOldOutput(db: Db, before: Date, maxBytes: number): Promise<TreeGarbage[]> {
  const { rows } = await db.query<TreeGarbage>(
    `with sizes as (
       select t.root_id, count(distinct c.attempt_id)::int as count, sum(octet_length(c.data))::bigint as bytes
         from output_chunks c join task_attempts a on a.id = c.attempt_id join distributed_tasks t on t.id = a.task_id
        group by t.root_id),
     ranked as (
       select s.*, f.finished_at, sum(s.bytes) over (order by f.finished_at desc nulls first, s.root_id) as bytes_so_far
         from sizes s left join finished_trees f on f.root_id = s.root_id)
     select root_id, count, bytes, finished_at from ranked
      where finished_at is not null and (finished_at < $1 or bytes_so_far > $2)
      order by finished_at, root_id`,
    [before, maxBytes],
  );
  return rows;
}

/** Says of the attempts of a finished tree that their output is not kept. @returns false when the tree goes on again */
export async function markOutputRemoved(tx: Db, root: TaskId): Promise<boolean> {
  if (!(await lockFinishedTree(tx, root))) return false;
  await tx.query(
    `update task_attempts a set output_removed_at = now()
       from distributed_tasks t where t.id = a.task_id and t.root_id = $1 and a.output_removed_at is null`,
    [root],
  );
  return true;
}

/** Removes up to `limit` pieces of such output. */
export async function deleteMarkedOutput(db: Db, root: TaskId, limit: number): Promise<{ pieces: number; bytes: number }> {
  const { rows } = await db.query<{ pieces: number; bytes: number }>(
    `with gone as (
       delete from output_chunks where (attempt_id, stream, off) in (
         select c.attempt_id, c.stream, c.off
           from distributed_tasks t join task_attempts a on a.task_id = t.id join output_chunks c on c.attempt_id = a.id
          where t.root_id = $1 and a.output_removed_at is not null limit $2)
       returning octet_length(data) as bytes)
     select count(*)::int as pieces, coalesce(sum(bytes), 0)::bigint as bytes from gone`,
    [root, limit],
  );
  return rows[0] ?? { pieces: 0, bytes: 0 };
}

/** Locks the root of a tree of which nothing goes on, so that it is not retried meanwhile. */
async function lockFinishedTree(tx: Db, root: TaskId): Promise<boolean> {
  const { rowCount } = await tx.query(
    `select from distributed_tasks r where r.id = $1 and exists (select from finished_trees f where f.root_id = r.id) for update skip locked`,
    [root],
  );
  return rowCount === 1;
}

/** Finished trees with checkpoints whose files are still kept, oldest first. */
export async function listTreesWithOldCheckpoints(db: Db, before: Date): Promise<TreeGarbage[]> {
  const { rows } = await db.query<TreeGarbage>(
    `select f.root_id, count(*)::int as count, sum(c.bundle_bytes)::bigint as bytes, f.finished_at
       from finished_trees f join distributed_tasks t on t.root_id = f.root_id
            join task_checkpoints c on c.task_id = t.id and c.dropped_at is null
      where f.created_at < $1 and f.finished_at < $1
      group by f.root_id, f.finished_at order by f.finished_at, f.root_id`,
    [before],
  );
  return rows;
}

/** Gives up the files of all checkpoints of a finished tree: a retry begins at the commit. @returns false when it goes on again */
export async function dropCheckpoints(tx: Db, root: TaskId): Promise<boolean> {
  if (!(await lockFinishedTree(tx, root))) return false;
  await tx.query(
    `update task_checkpoints c set dropped_at = now()
       from distributed_tasks t where t.id = c.task_id and t.root_id = $1 and c.dropped_at is null`,
    [root],
  );
  await tx.query(`update distributed_tasks set restore = null where root_id = $1 and restore is not null`, [root]);
  return true;
}

/** Of these tasks, those whose checkpoints may have refs: the numbers that are kept, and whether more may come. */
export async function listCheckpointKeepers(db: Db, tasks: TaskId[]): Promise<{ task_id: TaskId; numbers: number[]; goes_on: boolean }[]> {
  const { rows } = await db.query<{ task_id: TaskId; numbers: number[]; goes_on: boolean }>(
    `select t.id as task_id, not exists (select from finished_trees f where f.root_id = t.root_id) as goes_on,
            array(select c.number from task_checkpoints c where c.task_id = t.id and c.dropped_at is null) as numbers
       from distributed_tasks t where t.id = any($1)`,
    [tasks],
  );
  return rows;
}

/** Those of these queues that there are: a queue goes with its tree. */
export async function listQueuesAmong(db: Db, queues: MergeQueueId[]): Promise<Set<MergeQueueId>> {
  const { rows } = await db.query<{ id: MergeQueueId }>(`select id from merge_queues where id = any($1)`, [queues]);
  return new Set(rows.map((row) => row.id));
}

/** Whole trees that ended before `before`; `count` is 1. */
export async function listOldTrees(db: Db, before: Date): Promise<TreeGarbage[]> {
  const { rows } = await db.query<TreeGarbage>(
    `select f.root_id, 1 as count, f.finished_at,
            ((select sum(pg_column_size(t.*)) from distributed_tasks t where t.root_id = f.root_id)
             + coalesce((select sum(octet_length(d.body)) from distributed_tasks t join task_documents d on d.task_id = t.id
                          where t.root_id = f.root_id), 0))::bigint as bytes
       from finished_trees f where f.created_at < $1 and f.finished_at < $1
      order by f.finished_at, f.root_id`,
    [before],
  );
  return rows;
}

/** Removes a finished tree with all that belongs to it. @returns false when it goes on again */
export async function deleteTree(tx: Db, root: TaskId): Promise<boolean> {
  if (!(await lockFinishedTree(tx, root))) return false;
  await tx.query(`delete from distributed_tasks where id = $1`, [root]);
  return true;
}

/** Notes commits whose refs are there but whose last use is not known: from now on they age. */
export async function adoptSnapshots(db: Db, project: ProjectId, commits: string[]): Promise<void> {
  await db.query(
    `insert into snapshots (project_id, commit_hash) select $1, commit from unnest($2::text[]) as c(commit)
      where exists (select from projects where id = $1) on conflict do nothing`,
    [project, commits],
  );
}

/** Handed-over commits last used before `before`, and named by no task but those that ended before then. */
export async function listOldSnapshots(
  db: Db,
  project: ProjectId,
  before: Date,
): Promise<{ commit_hash: string; bundle_bytes: number; used_at: Date }[]> {
  const { rows } = await db.query<{ commit_hash: string; bundle_bytes: number; used_at: Date }>(
    `select s.commit_hash, s.bundle_bytes, s.used_at from snapshots s
      where s.project_id = $1 and s.used_at < $2
        and not exists (select from distributed_tasks r
                         where r.parent_id is null and r.project_id = s.project_id and r.spec->>'commit' = s.commit_hash
                           and not exists (select from finished_trees f where f.root_id = r.id and f.finished_at < $2))
      order by s.used_at, s.commit_hash`,
    [project, before],
  );
  return rows;
}

/** @returns those that were not used again meanwhile */
export async function deleteSnapshots(db: Db, project: ProjectId, commits: string[], before: Date): Promise<string[]> {
  const { rows } = await db.query<{ commit_hash: string }>(
    `delete from snapshots where project_id = $1 and commit_hash = any($2) and used_at < $3 returning commit_hash`,
    [project, commits, before],
  );
  return rows.map((row) => row.commit_hash);
}

/** Commits that tasks name which go on, or ended after `before`. */
export async function listNeededCommits(db: Db, project: ProjectId, before: Date): Promise<string[]> {
  const { rows } = await db.query<{ commit: string }>(
    `select distinct r.spec->>'commit' as commit from distributed_tasks r
      where r.parent_id is null and r.project_id = $1 and r.spec->>'commit' is not null
        and not exists (select from finished_trees f where f.root_id = r.id and f.finished_at < $2)`,
    [project, before],
  );
  return rows.map((row) => row.commit);
}

/** Archives that tasks which go on have made or will unpack. */
export async function listBlobsInUse(db: Db): Promise<Set<string>> {
  const { rows } = await db.query<{ blob: string }>(
    `with live as (
       select t.* from distributed_tasks t
        where t.root_id in (select u.root_id from distributed_tasks u where u.finished_at is null
                            union
                            select o.root_id from task_attempts a join distributed_tasks o on o.id = a.task_id where not a.is_complete))
     select a.outputs_blob as blob from live join task_attempts a on a.task_id = live.id where a.outputs_blob is not null
     union select live.result->>'blob' from live where live.result->>'blob' is not null
     union select i.blob from live, jsonb_array_elements_text(live.job->'inputs') as i(blob)`,
  );
  return new Set(rows.map((row) => row.blob));
}

/** When each archive was last found in the build cache. */
export async function readBuildUses(db: Db): Promise<Map<string, Date>> {
  const { rows } = await db.query<{ blob: string; used_at: Date }>(`select blob, max(used_at) as used_at from build_cache group by blob`);
  return new Map(rows.map((row) => [row.blob, row.used_at]));
}

/** Forgets what archives were built from, unless one was found since `before`. @returns archives the cache still knows */
export async function forgetBuilds(tx: Db, blobs: string[], before: Date): Promise<Set<string>> {
  await tx.query(
    `delete from build_cache where blob = any($1) and blob not in (select blob from build_cache where blob = any($1) and used_at >= $2)`,
    [blobs, before],
  );
  const { rows } = await tx.query<{ blob: string }>(`select distinct blob from build_cache where blob = any($1)`, [blobs]);
  return new Set(rows.map((row) => row.blob));
}

/**
 * The first event to keep: the first since `before`, but none of a task that goes on is removed, nor anything after one,
 * so that a gap is always at the beginning, and the newest stays.
 */
export async function findFirstKeptEvent(db: Db, before: Date): Promise<number> {
  const { rows } = await db.query<{ first: number | null }>(
    `select least(
       (select seq from events where at >= $1 order by seq limit 1),
       (select min(e.seq)
          from (select root_id from distributed_tasks where finished_at is null
                union
                select t.root_id from task_attempts a join distributed_tasks t on t.id = a.task_id where not a.is_complete) live,
               lateral (select seq from events where root_id = live.root_id order by seq limit 1) e),
       (select max(seq) from events)) as first`,
    [before],
  );
  return rows[0]?.first ?? 0;
}

export interface Heap {
  count: number;
  bytes: number;
  oldest: Date | null;
}

export async function measureEvents(db: Db, firstKept: number): Promise<Heap> {
  const { rows } = await db.query<Heap>(
    `select count(*)::int as count, coalesce(sum(pg_column_size(body)), 0)::bigint as bytes, min(at) as oldest from events where seq < $1`,
    [firstKept],
  );
  return rows[0] ?? { count: 0, bytes: 0, oldest: null };
}

/** Removes the `limit` oldest of them. */
export async function deleteEvents(db: Db, firstKept: number, limit: number): Promise<Heap> {
  const { rows } = await db.query<Heap>(
    `with gone as (
       delete from events where seq in (select seq from events where seq < $1 order by seq limit $2) returning at, body)
     select count(*)::int as count, coalesce(sum(pg_column_size(body)), 0)::bigint as bytes, min(at) as oldest from gone`,
    [firstKept, limit],
  );
  return rows[0] ?? { count: 0, bytes: 0, oldest: null };
}

/** Moves of connections before `before`; the newest of each worker stays. */
export async function measureConnectivity(db: Db, before: Date): Promise<Heap> {
  const { rows } = await db.query<Heap>(
    `select count(*)::int as count, coalesce(sum(pg_column_size(e.*)), 0)::bigint as bytes, min(e.at) as oldest
       from worker_connectivity_events e
      where e.at < $1 and exists (select from worker_connectivity_events n where n.worker_id = e.worker_id and n.id > e.id)`,
    [before],
  );
  return rows[0] ?? { count: 0, bytes: 0, oldest: null };
}

export async function deleteConnectivity(db: Db, before: Date, limit: number): Promise<Heap> {
  const { rows } = await db.query<Heap>(
    `with gone as (
       delete from worker_connectivity_events where id in (
         select e.id from worker_connectivity_events e
          where e.at < $1 and exists (select from worker_connectivity_events n where n.worker_id = e.worker_id and n.id > e.id)
          order by e.id limit $2)
       returning worker_connectivity_events.*)
     select count(*)::int as count, coalesce(sum(pg_column_size(gone.*)), 0)::bigint as bytes, min(at) as oldest from gone`,
    [before, limit],
  );
  return rows[0] ?? { count: 0, bytes: 0, oldest: null };
}

/** Of these tasks, those that are not over: their drivers are needed. */
export async function listUnfinished(db: Db, tasks: TaskId[]): Promise<Set<TaskId>> {
  const { rows } = await db.query<{ id: TaskId }>(`select id from distributed_tasks where id = any($1) and finished_at is null`, [tasks]);
  return new Set(rows.map((row) => row.id));
}
