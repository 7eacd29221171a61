import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isRunning, type ProcessIdentity, processIdentity } from './process-identity.ts';

/** Who holds a lock. */
export interface LockHolder extends ProcessIdentity {
  /** What it is doing, in words that complete "in use by ...". */
  what: string;
  /** ISO time at which it took the lock. */
  since: string;
}

export interface ProcessLock {
  release(): void;
}

/**
 * Takes the lock that is the folder `lockFolder`, or tells who holds it. A holder that died without releasing is
 * replaced; of any number of processes that try at once, one wins.
 *
 * Every taking is a file with the next number, made by `link`, which is atomic and brings the file into being with its
 * whole content. The highest number is the lock and is never removed, only emptied by its owner: a slow process that
 * judged an old number dead can therefore never find the place free when somebody else has taken it since.
 */
export function tryProcessLock(lockFolder: string, what: string): { lock: ProcessLock } | { holder: LockHolder } {
  const self = processIdentity(process.pid);
  if (self === undefined) throw new Error('this process cannot read its own start time');
  const content = JSON.stringify({ ...self, what, since: new Date().toISOString() } satisfies LockHolder);
  mkdirSync(lockFolder, { recursive: true });

  for (;;) {
    const highest = highestNumber(lockFolder);
    const holder = readHolder(path.join(lockFolder, String(highest)));
    if (holder !== undefined && isRunning(holder)) return { holder };

    const mine = highest + 1;
    const file = path.join(lockFolder, String(mine));
    if (!makeWhole(file, content)) continue;
    if (highestNumber(lockFolder) > mine) {
      rmSync(file, { force: true });
      continue;
    }
    for (const name of readdirSync(lockFolder)) {
      if (name.startsWith('claim-') || Number(name) < mine) rmSync(path.join(lockFolder, name), { force: true });
    }
    return { lock: { release: () => emptied(file) } };
  }
}

/** @returns the living holder of the lock, `undefined` when it is free */
export function processLockHolder(lockFolder: string): LockHolder | undefined {
  try {
    const holder = readHolder(path.join(lockFolder, String(highestNumber(lockFolder))));
    return holder !== undefined && isRunning(holder) ? holder : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function highestNumber(lockFolder: string): number {
  return Math.max(0, ...readdirSync(lockFolder).map(Number).filter(Number.isInteger));
}

/** An emptied file is a released lock; a torn one is what a power cut left, and its writer is gone with the boot. */
function readHolder(file: string): LockHolder | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LockHolder;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** @returns false when somebody else made `file` first */
function makeWhole(file: string, content: string): boolean {
  const claim = path.join(path.dirname(file), `claim-${process.pid}-${randomBytes(6).toString('hex')}`);
  writeFileSync(claim, content, { flag: 'wx', mode: 0o644 });
  try {
    linkSync(claim, file);
    return true;
  } catch (error) {
    // ENOENT: whoever won meanwhile swept our claim away with the leftovers of the dead.
    if (isErrno(error, 'EEXIST') || isErrno(error, 'ENOENT')) return false;
    throw error;
  } finally {
    rmSync(claim, { force: true });
  }
}

function emptied(file: string): void {
  try {
    truncateSync(file);
  } catch (error) {
    // The whole folder may have been removed by its user: then nothing is held any more.
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
