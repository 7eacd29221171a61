import type { TaskId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

/** The archive that a build with this key left, as the name of a blob. */
export async function findBuild(db: Db, key: string): Promise<string | undefined> {
  const { rows } = await db.query<{ blob: string }>(`update build_cache set used_at = now() where key = $1 returning blob`, [key]);
  return rows[0]?.blob;
}

/** Remembers what a build left, so that the same inputs need not be built again. */
export async function keepBuild(db: Db, key: string, blob: string, task: TaskId): Promise<void> {
  await db.query(
    `insert into build_cache (key, blob, task_id) values ($1, $2, $3)
     on conflict (key) do update set blob = excluded.blob, task_id = excluded.task_id, used_at = now()`,
    [key, blob, task],
  );
}
