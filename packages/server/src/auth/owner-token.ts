import { randomUUID } from 'node:crypto';
import { chmod, open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { newId, type UserId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { isToken, newToken, tokenHash } from './token.ts';
import { ensureOwner, findToken, insertLastingToken, revokeOtherTokens } from './token-sql.ts';

export function ownerTokenFile(dataFolder: string): string {
  return path.join(dataFolder, 'owner-token');
}

/**
 * Sees to it that whoever may read the file `owner-token` of the data folder can sign in as the owner. The database has
 * only its hash, so the file decides: its token is registered where the database is new; where the file is gone, or its
 * token was revoked, a new one is made and the old one refused from then on.
 *
 * @returns the owner, and the file
 */
export async function ensureOwnerToken(db: Db, dataFolder: string): Promise<{ owner: UserId; file: string }> {
  const file = ownerTokenFile(dataFolder);
  const owner = await ensureOwner(db, newId('user'));
  // Servers that share a database have a folder each.
  const label = `${hostname()}:${path.resolve(file)}`;

  let token = await readToken(file);
  const known = token === undefined ? undefined : await findToken(db, tokenHash(token));
  if (token === undefined || known?.is_revoked || known?.is_expired) {
    token = newToken();
    // The file first: a token that is in the file only is registered at the next start, the reverse would be lost.
    await writePrivateFile(file, `${token}\n`);
  } else await chmod(file, 0o600);

  const hash = tokenHash(token);
  await insertLastingToken(db, randomUUID(), owner, hash, label);
  await revokeOtherTokens(db, owner, label, hash);
  return { owner, file };
}

async function readToken(file: string): Promise<string | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim();
    return isToken(text) ? text : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** At no moment can another user read it, and at none is half of it there. */
async function writePrivateFile(file: string, text: string): Promise<void> {
  const fresh = `${file}.${process.pid}.new`;
  await rm(fresh, { force: true });
  const handle = await open(fresh, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
}
