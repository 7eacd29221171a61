import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { type LockHolder, type ProcessLock, processLockHolder, tryProcessLock } from './process-lock.ts';

/**
 * One server process per data folder: two would hand the same jobs to the same workers under one name.
 *
 * @param options.what the process in words, `the server at http://127.0.0.1:4747`; shown to whoever is refused
 * @throws CodedError `server.already_running` naming the living process that holds the folder
 */
export function lockDataFolder(dataFolder: string, options: { what: string }): ProcessLock {
  const attempt = tryProcessLock(lockFolderOf(dataFolder), options.what);
  if ('lock' in attempt) return attempt.lock;
  const { pid, what, since } = attempt.holder;
  throw new CodedError('server.already_running', `the data folder ${dataFolder} is in use by ${what} (pid ${pid}, since ${since})`, {
    next: '`helix status` shows it, `helix down` stops it',
    details: { pid, what, since, dataFolder },
  });
}

/** The living process that holds the folder, `undefined` when none does. Reads only. */
export function dataFolderHolder(dataFolder: string): LockHolder | undefined {
  return processLockHolder(lockFolderOf(dataFolder));
}

function lockFolderOf(dataFolder: string): string {
  return path.join(path.resolve(dataFolder), 'server.lock');
}
