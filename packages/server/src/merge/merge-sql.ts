import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { MergeEntryId, MergeQueueId, ProjectId, TaskId } from '@helixcode/protocol/ids';
import { mergeStatesBefore } from '@helixcode/protocol/merge/merge-state';
import type { MergeReturn } from '@helixcode/protocol/merge/merge-view';
import type { TaskState } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import type { EntryRow, QueueRow } from './merge-row.ts';

/** @returns `undefined` when the tree has a queue for this project already */
export async function insertQueue(
  db: Db,
  queue: { id: MergeQueueId; root: TaskId; project: ProjectId; base: string; maxTries: number },
): Promise<QueueRow | undefined> {
  const { rows } = await db.query<QueueRow>(
    `insert into merge_queues (id, root_id, project_id, base_commit, tip_commit, max_tries) values ($1, $2, $3, $4, $4, $5)
     on conflict (root_id, project_id) do nothing returning *`,
    [queue.id, queue.root, queue.project, queue.base, queue.maxTries],
  );
  return rows[0];
}

/** The queues of a tree, the oldest first. */
export async function listQueues(db: Db, root: TaskId): Promise<QueueRow[]> {
  const { rows } = await db.query<QueueRow>(`select * from merge_queues where root_id = $1 order by created_at, id`, [root]);
  return rows;
}

/** @throws CodedError `merge.not_found` */
export async function getQueue(db: Db, id: MergeQueueId): Promise<QueueRow> {
  const { rows } = await db.query<QueueRow>(`select * from merge_queues where id = $1`, [id]);
  if (!rows[0]) throw new CodedError('merge.not_found', `there is no merge queue ${id}`, { next: 'helix tasks list' });
  return rows[0];
}

/** Locks the row until the end of the transaction: what moves the tip goes one after the other. Entries may come in meanwhile. @throws CodedError `merge.not_found` */
export async function lockQueue(tx: Db, id: MergeQueueId): Promise<QueueRow> {
  const { rows } = await tx.query<QueueRow>(`select * from merge_queues where id = $1 for no key update`, [id]);
  if (!rows[0]) throw new CodedError('merge.not_found', `there is no merge queue ${id}`, { next: 'helix tasks list' });
  return rows[0];
}

export async function setTip(tx: Db, id: MergeQueueId, commit: string): Promise<void> {
  await tx.query(`update merge_queues set tip_commit = $2 where id = $1`, [id, commit]);
}

/** Notes that the ref stands on the tip, unless the tip has moved on since. */
export async function setRefCommit(db: Db, id: MergeQueueId, tip: string): Promise<void> {
  await db.query(`update merge_queues set ref_commit = $2 where id = $1 and tip_commit = $2`, [id, tip]);
}

/** Queues in which something is to be done, and how the root of their tree stands. What waits for its owner is not, unless the tree is over. */
export async function listActiveQueues(db: Db): Promise<{ id: MergeQueueId; root_state: TaskState }[]> {
  const { rows } = await db.query<{ id: MergeQueueId; root_state: TaskState }>(
    `select q.id, r.state as root_state
       from (select queue_id as id from merge_entries where finished_at is null
             union
             select id from merge_queues where ref_commit is distinct from tip_commit) open
       join merge_queues q on q.id = open.id
       join distributed_tasks r on r.id = q.root_id
      where r.state <> 'paused'
        and (r.finished_at is not null or q.ref_commit is distinct from q.tip_commit
             or exists (select from merge_entries e where e.queue_id = q.id and e.finished_at is null and e.state <> 'conflict'))`,
  );
  return rows;
}

/** @returns `undefined` when the queue has an entry of that key already, or the task is not of its tree */
export async function insertEntry(
  tx: Db,
  entry: { id: MergeEntryId; queue: MergeQueueId; key: string; task: TaskId; title: string; commit: string },
): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `insert into merge_entries (id, queue_id, key, task_id, title, commit_hash)
     select $1, q.id, $3, t.id, $5, $6
       from merge_queues q join distributed_tasks t on t.root_id = q.root_id
      where q.id = $2 and t.id = $4
     on conflict (queue_id, key) do nothing returning *`,
    [entry.id, entry.queue, entry.key, entry.task, entry.title, entry.commit],
  );
  return rows[0];
}

export async function findEntry(db: Db, queue: MergeQueueId, key: string): Promise<EntryRow | undefined> {
  const { rows } = await db.query<EntryRow>(`select * from merge_entries where queue_id = $1 and key = $2`, [queue, key]);
  return rows[0];
}

/** @throws CodedError `merge.not_found` */
export async function getEntry(db: Db, id: MergeEntryId): Promise<EntryRow> {
  const { rows } = await db.query<EntryRow>(`select * from merge_entries where id = $1`, [id]);
  if (!rows[0]) throw new CodedError('merge.not_found', `there is no entry ${id} in a merge queue`, { next: 'helix tasks list' });
  return rows[0];
}

/** Locks the row until the end of the transaction. @throws CodedError `merge.not_found` */
export async function lockEntry(tx: Db, id: MergeEntryId): Promise<EntryRow> {
  const { rows } = await tx.query<EntryRow>(`select * from merge_entries where id = $1 for no key update`, [id]);
  if (!rows[0]) throw new CodedError('merge.not_found', `there is no entry ${id} in a merge queue`, { next: 'helix tasks list' });
  return rows[0];
}

/** In the order in which they came. */
export async function listEntries(db: Db, queue: MergeQueueId): Promise<EntryRow[]> {
  const { rows } = await db.query<EntryRow>(`select * from merge_entries where queue_id = $1 order by place`, [queue]);
  return rows;
}

/** The one that is being merged or verified, else the first that waits. */
export async function findNextEntry(db: Db, queue: MergeQueueId): Promise<EntryRow | undefined> {
  const { rows } = await db.query<EntryRow>(
    `select * from merge_entries where queue_id = $1 and state in ('waiting', 'merging', 'verifying')
      order by state = 'waiting', place limit 1`,
    [queue],
  );
  return rows[0];
}

/** Those that are neither merged nor refused. */
export async function listOpenEntries(db: Db, queue: MergeQueueId): Promise<EntryRow[]> {
  const { rows } = await db.query<EntryRow>(`select * from merge_entries where queue_id = $1 and finished_at is null order by place`, [
    queue,
  ]);
  return rows;
}

/** What a move is about: a try of an entry. One that has gone on is not moved. */
type Try = Pick<EntryRow, 'id' | 'try'>;

export async function takeEntry(tx: Db, entry: Try): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `update merge_entries set state = 'merging', returned = null where id = $1 and try = $2 and state = any($3) returning *`,
    [entry.id, entry.try, mergeStatesBefore('take')],
  );
  return rows[0];
}

/** What came out of the merge is to be verified. */
export async function proposeEntry(tx: Db, entry: Try, onto: string, made: string): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `update merge_entries set state = 'verifying', onto_commit = $4, made_commit = $5
      where id = $1 and try = $2 and state = any($3) returning *`,
    [entry.id, entry.try, mergeStatesBefore('propose'), onto, made],
  );
  return rows[0];
}

export async function mergeEntry(
  tx: Db,
  entry: Try,
  merged: { onto: string; made: string; receipts: readonly string[] },
): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `update merge_entries set state = 'merged', onto_commit = $4, made_commit = $5, receipts = $6, finished_at = now()
      where id = $1 and try = $2 and state = any($3) returning *`,
    [entry.id, entry.try, mergeStatesBefore('merge'), merged.onto, merged.made, merged.receipts],
  );
  return rows[0];
}

export async function giveBackEntry(tx: Db, entry: Try, returned: MergeReturn): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `update merge_entries set state = 'conflict', returned = $4, onto_commit = null, made_commit = null
      where id = $1 and try = $2 and state = any($3) returning *`,
    [entry.id, entry.try, mergeStatesBefore('give_back'), JSON.stringify(returned)],
  );
  return rows[0];
}

export async function refuseEntry(tx: Db, entry: Try, failure: ErrorFact, returned: MergeReturn | null): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `update merge_entries set state = 'refused', failure = $4, returned = coalesce($5::jsonb, returned), finished_at = now(),
            onto_commit = null, made_commit = null
      where id = $1 and try = $2 and state = any($3) returning *`,
    [entry.id, entry.try, mergeStatesBefore('refuse'), JSON.stringify(failure), returned && JSON.stringify(returned)],
  );
  return rows[0];
}

/** The owner's next try. */
export async function handInEntry(tx: Db, entry: Try, commit: string): Promise<EntryRow | undefined> {
  const { rows } = await tx.query<EntryRow>(
    `update merge_entries set state = 'waiting', try = try + 1, commit_hash = $4, entered_at = now()
      where id = $1 and try = $2 and state = any($3) returning *`,
    [entry.id, entry.try, mergeStatesBefore('hand_in'), commit],
  );
  return rows[0];
}
