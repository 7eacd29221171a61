import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { ServerId } from '@helixcode/protocol/ids';
import type { SecretBox } from '../auth/secret-box.ts';
import { openDb } from '../db/db.ts';
import { countSecrets, keepFact, keepKeyCheck, readKeyCheck } from './agree-sql.ts';
import { listLeases } from './lease-sql.ts';

const KEY_CHECK = 'fleet:key';
const KEY_CHECK_TEXT = 'the key of this database';
const STORAGE = 'storage';

/**
 * Sees to it that all servers of a database can open the same secrets and find the same files. What the first one has is
 * the measure, as long as something depends on it.
 *
 * @throws CodedError `server.secret_differs`, `server.storage_differs`
 */
export async function agreeWithFleet(server: {
  databaseUrl: string;
  serverId: ServerId;
  secretBox: SecretBox;
  dataFolder: string;
  storageFolder: string;
}): Promise<void> {
  const { serverId, secretBox, dataFolder, storageFolder } = server;
  const db = openDb(server.databaseUrl, { maxConnections: 1 });
  try {
    const others = (await listLeases(db)).filter((lease) => lease.server_id !== serverId && !lease.is_expired && lease.state !== 'ended');
    const [other] = others;

    const sealed =
      (await readKeyCheck(db, KEY_CHECK)) ?? (await keepKeyCheck(db, KEY_CHECK, secretBox.seal(KEY_CHECK, KEY_CHECK_TEXT), false));
    if (!opens(secretBox, sealed)) {
      if (other || (await countSecrets(db, KEY_CHECK)) > 0)
        throw new CodedError(
          'server.secret_differs',
          `${path.join(dataFolder, 'secret.key')} is not the key with which the secrets of this database were sealed`,
          {
            next: `copy secret.key from the data folder of ${other ? `the server ${other.url || other.server_id} on ${other.host}` : 'the server that made the database'} to ${dataFolder}`,
          },
        );
      await keepKeyCheck(db, KEY_CHECK, secretBox.seal(KEY_CHECK, KEY_CHECK_TEXT), true);
    }

    const mine = await readMark(storageFolder);
    const agreed = await keepFact(db, STORAGE, mine ?? randomUUID(), false);
    if (agreed === mine) return;
    if (other)
      throw new CodedError('server.storage_differs', `${storageFolder} is not the storage that the other servers of this database use`, {
        next: `set global.storageFolder of all servers to one folder; ${other.url || other.server_id} runs on ${other.host}`,
      });
    // With nobody else there, what this server has is the storage.
    if (mine === undefined) await writeFile(markOf(storageFolder), `${agreed}\n`, { mode: 0o600 });
    else await keepFact(db, STORAGE, mine, true);
  } finally {
    await db.close();
  }
}

function opens(box: SecretBox, sealed: Uint8Array): boolean {
  try {
    return box.open(KEY_CHECK, sealed) === KEY_CHECK_TEXT;
  } catch {
    return false;
  }
}

/** @returns `undefined` for a folder that was never a storage */
async function readMark(folder: string): Promise<string | undefined> {
  try {
    return (await readFile(markOf(folder), 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function markOf(folder: string): string {
  return path.join(folder, 'storage-id');
}
