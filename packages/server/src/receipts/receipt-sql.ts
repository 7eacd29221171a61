import { newId, type ProjectId, type ReceiptId, type ServerId, type TaskId } from '@helixcode/protocol/ids';
import type { DividedKind } from '@helixcode/protocol/task/task-spec';
import type { Db } from '../db/db.ts';

/**
 * Notes that these tasks have completed and are owed a receipt; those that ran at no commit of a project are left out. In the
 * transaction in which they complete.
 */
export async function oweReceipts(tx: Db, tasks: readonly TaskId[]): Promise<void> {
  await tx.query(
    `insert into receipts (id, task_id, result)
     select given.receipt, t.id, t.result
       from unnest($1::text[], $2::text[]) as given (task, receipt)
       join distributed_tasks t on t.id = given.task
      where t.project_id is not null and t.spec ? 'commit' and t.kind in ('shell', 'build', 'test')`,
    [tasks, tasks.map(() => newId('receipt'))],
  );
}

/** A completed task whose receipt is not signed yet. */
export interface OwedRow {
  id: ReceiptId;
  task_id: TaskId;
  result: unknown;
  kind: DividedKind;
  spec: unknown;
  is_leaf: boolean;
  project_id: ProjectId;
  project_name: string;
  started_at: Date | null;
  finished_at: Date;
}

/** The oldest first. @param task only those of this one; `undefined` for all */
export async function listOwed(db: Db, task: TaskId | undefined, limit: number, without: readonly string[] = []): Promise<OwedRow[]> {
  const { rows } = await db.query<OwedRow>(
    `select r.id, r.task_id, r.result, t.kind, t.spec, t.is_leaf, t.project_id, p.name as project_name,
            t.started_at, coalesce(t.finished_at, r.owed_at) as finished_at
       from receipts r
       join distributed_tasks t on t.id = r.task_id
       join projects p on p.id = t.project_id
      where r.body is null and ($1::text is null or r.task_id = $1) and r.id <> all($3)
      order by r.owed_at limit $2`,
    [task ?? null, limit, without],
  );
  return rows;
}

/** One attempt as its worker measured it. */
export interface MeasuredRow {
  id: string;
  worker_id: string;
  worker_name: string;
  exit_code: number;
  wall_ms: number;
  output_bytes: number;
  is_restored: boolean;
  started_at: Date | null;
}

/** The attempt that a task's result names. `undefined` when it did not end by itself. */
export async function readAttempt(db: Db, attempt: string): Promise<MeasuredRow | undefined> {
  const { rows } = await db.query<MeasuredRow>(
    `select a.id, a.worker_id, w.name as worker_name, a.exit_code, coalesce(a.wall_ms, 0) as wall_ms,
            coalesce((a.streams->>'out')::bigint, 0) + coalesce((a.streams->>'err')::bigint, 0) as output_bytes,
            a.restore is not null as is_restored, a.started_at
       from task_attempts a join workers w on w.id = a.worker_id
      where a.id = $1 and a.state = 'exited' and a.exit_code is not null`,
    [attempt],
  );
  return rows[0];
}

/** Attempts below a divided task, by worker and exit status. */
export interface MeasuredGroup {
  worker_id: string;
  worker_name: string;
  exit_code: number;
  attempts: number;
  restored: number;
  started_at: Date | null;
}

export async function groupAttemptsBelow(db: Db, task: TaskId): Promise<MeasuredGroup[]> {
  const { rows } = await db.query<MeasuredGroup>(
    `select a.worker_id, w.name as worker_name, a.exit_code, count(*) as attempts,
            count(*) filter (where a.restore is not null) as restored, min(a.started_at) as started_at
       from distributed_tasks c
       join task_attempts a on a.task_id = c.id
       join workers w on w.id = a.worker_id
      where c.parent_id = $1 and a.state = 'exited' and a.exit_code is not null and a.fenced is null
      group by a.worker_id, w.name, a.exit_code
      order by w.name, a.exit_code`,
    [task],
  );
  return rows;
}

export async function countParts(db: Db, task: TaskId): Promise<{ tasks: number; reused: number }> {
  const { rows } = await db.query<{ tasks: number; reused: number }>(
    `select count(*) as tasks, count(*) filter (where state = 'completed' and attempts = 0) as reused
       from distributed_tasks where parent_id = $1`,
    [task],
  );
  return rows[0] ?? { tasks: 0, reused: 0 };
}

/** @returns false when somebody signed it before */
export async function saveReceipt(
  db: Db,
  id: ReceiptId,
  signed: { body: string; signature: string; keyId: string; issuedAt: Date },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update receipts set body = $2, signature = $3, key_id = $4, issued_at = $5 where id = $1 and body is null`,
    [id, signed.body, signed.signature, signed.keyId, signed.issuedAt],
  );
  return rowCount > 0;
}

/** Of a task that cannot be vouched for. */
export async function forgetOwed(db: Db, id: ReceiptId): Promise<void> {
  await db.query(`delete from receipts where id = $1 and body is null`, [id]);
}

export interface ReceiptRow {
  id: ReceiptId;
  body: string;
  signature: string;
  key_id: string;
}

/** Newest first. @param before only those older than this one */
export async function listReceipts(
  db: Db,
  { task, before, limit }: { task?: string | undefined; before?: string | undefined; limit: number },
): Promise<ReceiptRow[]> {
  const { rows } = await db.query<ReceiptRow>(
    `select id, body, signature, key_id from receipts
      where body is not null and ($1::text is null or task_id = $1) and ($2::text is null or id < $2)
      order by id desc limit $3`,
    [task ?? null, before ?? null, limit],
  );
  return rows;
}

/** @param idOrTask of a task: its newest */
export async function findReceipt(db: Db, idOrTask: string): Promise<ReceiptRow | undefined> {
  const { rows } = await db.query<ReceiptRow>(
    `select id, body, signature, key_id from receipts
      where body is not null and (id = $1 or task_id = $1) order by id desc limit 1`,
    [idOrTask],
  );
  return rows[0];
}

export interface KeyRow {
  id: string;
  public_key: string;
  server_id: ServerId;
  created_at: Date;
}

export async function publishKey(db: Db, id: string, publicKey: string, server: ServerId): Promise<void> {
  await db.query(`insert into receipt_keys (id, public_key, server_id) values ($1, $2, $3) on conflict (id) do nothing`, [
    id,
    publicKey,
    server,
  ]);
}

export async function listKeys(db: Db): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>(`select id, public_key, server_id, created_at from receipt_keys order by created_at, id`);
  return rows;
}
