import type { ErrorFact } from '@helixcode/protocol/errors';
import type { WorkerId } from '@helixcode/protocol/ids';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import type { Db } from '../db/db.ts';

/** Hashes are SHA-256 in base64, as `tokenHash` gives them. */
export interface WorkerTokenRow {
  worker_id: WorkerId;
  name: string;
  state: WorkerState;
  reason: ErrorFact | null;
  is_revoked: boolean;
}

/** Makes an enrolment token valid. @returns until when */
export async function insertEnrolment(db: Db, hash: string, worker: WorkerId, validMs: number): Promise<Date> {
  const { rows } = await db.query<{ expires_at: Date }>(
    `insert into worker_enrolments (token_hash, worker_id, expires_at)
     values (decode($1, 'base64'), $2, now() + $3 * interval '1 millisecond') returning expires_at`,
    [hash, worker, validMs],
  );
  if (!rows[0]) throw new Error(`no enrolment of ${worker} was made`);
  return rows[0].expires_at;
}

export async function revokeEnrolments(db: Db, worker: WorkerId): Promise<void> {
  await db.query(`update worker_enrolments set revoked_at = now() where worker_id = $1 and used_at is null and revoked_at is null`, [
    worker,
  ]);
}

/** Uses a token up, if it is still good. @returns whom it lets in */
export async function useEnrolment(db: Db, hash: string): Promise<WorkerId | undefined> {
  const { rows } = await db.query<{ worker_id: WorkerId }>(
    `update worker_enrolments e set used_at = now()
       from workers w
      where e.token_hash = decode($1, 'base64') and e.used_at is null and e.revoked_at is null and e.expires_at > now()
        and w.id = e.worker_id and w.removed_at is null
      returning e.worker_id`,
    [hash],
  );
  return rows[0]?.worker_id;
}

export interface EnrolmentRow {
  name: string;
  is_removed: boolean;
  used_at: Date | null;
  revoked_at: Date | null;
  expires_at: Date;
}

/** What became of an enrolment token, for the one who is told that it lets nobody in. */
export async function findEnrolment(db: Db, hash: string): Promise<EnrolmentRow | undefined> {
  const { rows } = await db.query<EnrolmentRow>(
    `select w.name, w.removed_at is not null as is_removed, e.used_at, e.revoked_at, e.expires_at
       from worker_enrolments e join workers w on w.id = e.worker_id
      where e.token_hash = decode($1, 'base64')`,
    [hash],
  );
  return rows[0];
}

export async function insertWorkerToken(db: Db, hash: string, worker: WorkerId): Promise<void> {
  await db.query(`insert into worker_tokens (token_hash, worker_id) values (decode($1, 'base64'), $2)`, [hash, worker]);
}

export async function revokeWorkerTokens(db: Db, worker: WorkerId): Promise<void> {
  await db.query(`update worker_tokens set revoked_at = now() where worker_id = $1 and revoked_at is null`, [worker]);
}

export async function findWorkerToken(db: Db, hash: string): Promise<WorkerTokenRow | undefined> {
  const { rows } = await db.query<WorkerTokenRow>(
    `select t.worker_id, w.name, w.state, w.reason, t.revoked_at is not null as is_revoked
       from worker_tokens t join workers w on w.id = t.worker_id
      where t.token_hash = decode($1, 'base64')`,
    [hash],
  );
  return rows[0];
}
