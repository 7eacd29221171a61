import type { UserId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

/** Hashes are SHA-256 in base64, as `tokenHash` gives them. */
export interface TokenRow {
  user_id: UserId;
  is_revoked: boolean;
  is_expired: boolean;
  /** Its last use is noted too coarsely to be worth a write at every request; now it is time. */
  is_use_unnoted: boolean;
}

export async function findToken(db: Db, hash: string): Promise<TokenRow | undefined> {
  const { rows } = await db.query<TokenRow>(
    `select user_id, revoked_at is not null as is_revoked, expires_at <= now() as is_expired,
            coalesce(last_used_at < now() - interval '1 minute', true) as is_use_unnoted
       from user_sessions
      where token_hash = decode($1, 'base64')`,
    [hash],
  );
  return rows[0];
}

export async function noteTokenUse(db: Db, hash: string): Promise<void> {
  await db.query(`update user_sessions set last_used_at = now() where token_hash = decode($1, 'base64')`, [hash]);
}

/** The user who may do everything; made when the database is new. */
export async function ensureOwner(db: Db, id: UserId): Promise<UserId> {
  const { rows } = await db.query<{ id: UserId }>(
    `with made as (
       insert into users (id, name, role) values ($1, 'owner', 'owner') on conflict (name) do nothing returning id
     )
     select id from made union all select id from users where name = 'owner' limit 1`,
    [id],
  );
  // Made by another server between the two halves of the statement: now it is there.
  return rows[0]?.id ?? (await ensureOwner(db, id));
}

/** A token that is valid until it is revoked. Known already: nothing happens. */
export async function insertLastingToken(db: Db, id: string, user: UserId, hash: string, label: string): Promise<void> {
  await db.query(
    `insert into user_sessions (id, user_id, token_hash, label, expires_at)
     values ($1, $2, decode($3, 'base64'), $4, 'infinity')
     on conflict (token_hash) do nothing`,
    [id, user, hash, label],
  );
}

/** Revokes the tokens of that label, but for one. */
export async function revokeOtherTokens(db: Db, user: UserId, label: string, kept: string): Promise<void> {
  await db.query(
    `update user_sessions set revoked_at = now()
      where user_id = $1 and label = $2 and token_hash <> decode($3, 'base64') and revoked_at is null`,
    [user, label, kept],
  );
}
