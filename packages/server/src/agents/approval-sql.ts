import { type ApprovalId, newId, type SessionId, type TaskId, type UserId } from '@helixcode/protocol/ids';
import type { ApprovalKind } from '@helixcode/protocol/session/session';
import type { Db } from '../db/db.ts';

/** A row of `approvals`. */
export interface ApprovalRow {
  id: ApprovalId;
  session_id: SessionId;
  task_id: TaskId;
  kind: ApprovalKind;
  key: string;
  question: string;
  details: { options?: string[]; plan?: unknown };
  asked_at: Date;
  is_accepted: boolean | null;
  answer: string | null;
  answered_at: Date | null;
}

export type Asked = Pick<ApprovalRow, 'session_id' | 'task_id' | 'kind' | 'key' | 'question' | 'details'>;

/** Asks; the same again is nothing new. @returns the row, and whether it is new */
export async function insertApproval(tx: Db, asked: Asked): Promise<{ row: ApprovalRow; isNew: boolean }> {
  const inserted = await tx.query<ApprovalRow>(
    `insert into approvals (id, session_id, task_id, kind, key, question, details) values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (session_id, key) do nothing returning *`,
    [newId('approval'), asked.session_id, asked.task_id, asked.kind, asked.key, asked.question, JSON.stringify(asked.details)],
  );
  if (inserted.rows[0]) return { row: inserted.rows[0], isNew: true };
  const row = await findApprovalByKey(tx, asked.session_id, asked.key);
  if (!row) throw new Error(`approval ${asked.key} of ${asked.session_id} is neither new nor there`);
  return { row, isNew: false };
}

export async function findApprovalByKey(db: Db, session: SessionId, key: string): Promise<ApprovalRow | undefined> {
  const { rows } = await db.query<ApprovalRow>(`select * from approvals where session_id = $1 and key = $2`, [session, key]);
  return rows[0];
}

export async function lockApproval(tx: Db, id: string): Promise<ApprovalRow | undefined> {
  const { rows } = await tx.query<ApprovalRow>(`select * from approvals where id = $1 for update`, [id]);
  return rows[0];
}

export async function answerApproval(
  tx: Db,
  id: ApprovalId,
  answer: { isAccepted: boolean; text: string | undefined; by: UserId | null },
): Promise<ApprovalRow> {
  const { rows } = await tx.query<ApprovalRow>(
    `update approvals set is_accepted = $2, answer = $3, answered_by = $4, answered_at = now() where id = $1 returning *`,
    [id, answer.isAccepted, answer.text ?? null, answer.by],
  );
  return rows[0] as ApprovalRow;
}

/** What was asked and is answered by something else: a word of a person, or the end of the task. */
export async function closeApprovals(tx: Db, session: SessionId, kinds: readonly ApprovalKind[]): Promise<void> {
  await tx.query(
    `update approvals set is_accepted = false, answered_at = now() where session_id = $1 and kind = any($2) and answered_at is null`,
    [session, kinds],
  );
}

/** Oldest first. */
export async function listApprovals(db: Db, filter: { session: string | undefined; all: boolean }): Promise<ApprovalRow[]> {
  const { rows } = await db.query<ApprovalRow>(
    `select a.* from approvals a join distributed_tasks t on t.id = a.task_id
      where ($1::text is null or a.session_id = $1) and ($2 or (a.answered_at is null and t.finished_at is null))
      order by a.asked_at, a.id limit 1000`,
    [filter.session ?? null, filter.all],
  );
  return rows;
}
