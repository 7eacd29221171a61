import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';

const run = promisify(execFile);

/** The account PostgreSQL runs under when we are root, which PostgreSQL refuses to be. */
export interface DatabaseAccount {
  uid: number;
  gid: number;
}

/**
 * @param clusterFolder the existing cluster, if any: its owner stays the account for ever, also when a package that
 *   brings a `postgres` user is installed later
 * @returns `undefined` when we are not root: then PostgreSQL runs as we do
 */
export async function databaseAccount(clusterFolder: string): Promise<DatabaseAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = statSync(clusterFolder, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const account = (await accountNamed('postgres')) ?? (await accountNamed('nobody'));
  if (account !== undefined) return account;
  throw new CodedError(
    'database.start_failed',
    'PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody',
    { next: 'useradd --system --user-group postgres' },
  );
}

/** Whether the account (we ourselves when there is none) may enter a folder or execute a file, parents included. */
export async function canExecute(account: DatabaseAccount | undefined, file: string): Promise<boolean> {
  return asked(account, '-x', file);
}

/** Whether the account (we ourselves when there is none) may read a file, parents included. */
export async function canRead(account: DatabaseAccount | undefined, file: string): Promise<boolean> {
  return asked(account, '-r', file);
}

/** The outermost folder above `folder`, or itself, that its mode closes to the account. */
export function closedFolder(account: DatabaseAccount, folder: string): string | undefined {
  const above = path.dirname(folder);
  const outer = above === folder ? undefined : closedFolder(account, above);
  if (outer !== undefined) return outer;
  const { mode, uid, gid } = statSync(folder);
  const enter = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  return (mode & enter) === 0 ? folder : undefined;
}

/** Asks the system, as that account: mode bits alone would miss access lists and read-only mounts. */
async function asked(account: DatabaseAccount | undefined, test: '-x' | '-r', file: string): Promise<boolean> {
  try {
    await run('/bin/sh', ['-c', `[ ${test} "$1" ]`, 'sh', file], { ...account, cwd: '/' });
    return true;
  } catch {
    return false;
  }
}

async function accountNamed(name: string): Promise<DatabaseAccount | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}
