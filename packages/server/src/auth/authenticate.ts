import { CodedError } from '@helixcode/protocol/errors';
import type { UserId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { isToken, tokenHash } from './token.ts';
import { findToken, noteTokenUse } from './token-sql.ts';

/**
 * Whose token it is.
 *
 * @throws CodedError `auth.token_missing` without one, `auth.token_refused` for one that is unknown, expired or revoked
 */
export type Authenticate = (token: string | undefined) => Promise<UserId>;

/** How long a revoked token may still be accepted. */
const trustMs = 3_000;
const mostTrusted = 10_000;
const next = '`helix status` tells which token is used: HELIX_TOKEN, or the owner-token file of the data folder';

/** A valid token is looked up once in three seconds, not at every request. */
export function createAuthenticate(db: Db, nowMs: () => number = () => performance.now()): Authenticate {
  const trusted = new Map<string, { user: Promise<UserId>; untilMs: number }>();

  const lookUp = async (hash: string): Promise<UserId> => {
    const row = await findToken(db, hash);
    if (row === undefined) throw refused('the token is not known to this server');
    if (row.is_revoked) throw refused('the token was revoked');
    if (row.is_expired) throw refused('the token has expired');
    if (row.is_use_unnoted) await noteTokenUse(db, hash);
    return row.user_id;
  };

  return async (token) => {
    if (token === undefined) throw new CodedError('auth.token_missing', 'the request carries no token', { next });
    if (!isToken(token)) throw refused('what was given is not a token of HelixCode');
    const hash = tokenHash(token);
    const known = trusted.get(hash);
    if (known !== undefined && nowMs() < known.untilMs) return known.user;

    if (trusted.size >= mostTrusted) trusted.clear();
    const entry = { user: lookUp(hash), untilMs: nowMs() + trustMs };
    // Kept while it is looked up, so that a burst asks once; a refusal is asked anew.
    trusted.set(hash, entry);
    entry.user.catch(() => {
      if (trusted.get(hash) === entry) trusted.delete(hash);
    });
    return entry.user;
  };
}

function refused(message: string): CodedError {
  return new CodedError('auth.token_refused', message, { next });
}
