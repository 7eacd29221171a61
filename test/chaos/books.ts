import type { Db } from '@helixcode/server/db/db';

/** A task as the database has it. */
export interface BookedTask {
  id: string;
  root_id: string;
  parent_id: string | null;
  project_id: string | null;
  kind: string;
  name: string;
  is_leaf: boolean;
  state: string;
  result: Record<string, unknown> | null;
  failure: { code: string; message: string } | null;
  finished_at: Date | null;
  /** Exit statuses that count as success. */
  accept_exit: string | null;
}

export interface BookedAttempt {
  id: string;
  task_id: string;
  number: number;
  worker_id: string;
  state: string;
  exit_code: number | null;
  reason: { code: string; message: string } | null;
  fenced: object | null;
  restore: { number: number; commit: string } | null;
  is_complete: boolean;
}

export interface Books {
  tasks: BookedTask[];
  attempts: BookedAttempt[];
  /** Task → how often it is told to have come to an end, and to have been taken from one again. */
  ends: Map<string, { ends: number; retries: number }>;
}

/** All that is written about tasks, read from the tables themselves: what the API leaves out would not be found. */
export async function readBooks(db: Db): Promise<Books> {
  const tasks = await db.query<BookedTask>(
    `select id, root_id, parent_id, project_id, kind, name, is_leaf, state, result, failure, finished_at, policy->>'acceptExit' as accept_exit
       from distributed_tasks order by created_at, id`,
  );
  const attempts = await db.query<BookedAttempt>(
    `select id, task_id, number, worker_id, state, exit_code, reason, fenced, restore, is_complete from task_attempts order by task_id, number`,
  );
  const ends = await db.query<{ task_id: string; ends: number; retries: number }>(
    `select task_id, count(*) filter (where body->>'to' in ('completed', 'failed', 'cancelled'))::int as ends,
            count(*) filter (where body->>'from' in ('completed', 'failed', 'cancelled'))::int as retries
       from events where body->>'type' = 'task.moved' group by task_id`,
  );
  return { tasks: tasks.rows, attempts: attempts.rows, ends: new Map(ends.rows.map(({ task_id, ...counts }) => [task_id, counts])) };
}

/**
 * The stored bytes of a stream of an attempt.
 * @returns `fault` where two pieces hold the same byte, or none holds one that must be there
 */
export async function readStored(db: Db, attempt: string, stream: string): Promise<{ text: string; fault: string | undefined }> {
  const { rows } = await db.query<{ off: number; data: Buffer }>(
    `select off, data from output_chunks where attempt_id = $1 and stream = $2 order by off`,
    [attempt, stream],
  );
  let length = 0;
  let fault: string | undefined;
  for (const { off, data } of rows) {
    if (off !== length) fault ??= off < length ? `bytes ${off} to ${length} are stored twice` : `bytes ${length} to ${off} are missing`;
    length = off + data.length;
  }
  return { text: Buffer.concat(rows.map(({ data }) => data)).toString(), fault };
}
