import type { MergeEntryId, TaskId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

/** The task that verifies a try. */
export async function findCheck(db: Db, entry: MergeEntryId, number: number): Promise<TaskId | undefined> {
  const { rows } = await db.query<{ task_id: TaskId }>(`select task_id from merge_checks where entry_id = $1 and try = $2`, [
    entry,
    number,
  ]);
  return rows[0]?.task_id;
}

export async function insertCheck(tx: Db, entry: MergeEntryId, number: number, task: TaskId): Promise<void> {
  await tx.query(`insert into merge_checks (entry_id, try, task_id) values ($1, $2, $3)`, [entry, number, task]);
}

/** Notes of checks whose task is over that they need no more looking after. */
export async function endChecks(db: Db): Promise<void> {
  await db.query(
    `update merge_checks c set ended_at = now()
       from distributed_tasks t where t.id = c.task_id and c.ended_at is null and t.finished_at is not null`,
  );
}

/** Tasks under way that verify what is not to be verified any more. */
export async function listUnwantedChecks(db: Db): Promise<TaskId[]> {
  const { rows } = await db.query<{ id: TaskId }>(
    `select t.id from merge_checks c join distributed_tasks t on t.id = c.task_id join merge_entries e on e.id = c.entry_id
      where c.ended_at is null and t.finished_at is null and (e.state <> 'verifying' or e.try <> c.try)`,
  );
  return rows.map((row) => row.id);
}
