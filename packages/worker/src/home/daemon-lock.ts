import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { startTimeOf } from '../jobs/process-table.ts';
import { bootId } from './boot-id.ts';
import { isErrno, readIfThere } from './write-file.ts';

/** A lock by hard link: it works where file locks do not (NFS), and a dead owner is recognised by its start time. */
export interface DaemonLock {
  /** False after somebody took the file away: this daemon must end, for another may serve now. */
  isHeld(): boolean;
  release(): void;
}

/** @returns `undefined` while a living process holds it */
export function takeDaemonLock(path: string): DaemonLock | undefined {
  const own = `${process.pid} ${startTimeOf(process.pid)} ${bootId()}\n`;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, own, { mode: 0o600 });
  try {
    for (;;) {
      try {
        linkSync(draft, path);
        return {
          isHeld: () => readIfThere(path) === own,
          release: () => {
            if (readIfThere(path) === own) rmSync(path, { force: true });
          },
        };
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
      const found = readIfThere(path);
      if (found === undefined) continue;
      if (lockOwner(found) !== undefined) return undefined;
      removeStale(path, found);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** @returns the pid of the living daemon that wrote this lock */
export function lockOwner(content: string): number | undefined {
  const [pid, startTime, boot] = content.trim().split(' ');
  const isAlive = boot === bootId() && startTimeOf(Number(pid)) === startTime;
  return isAlive ? Number(pid) : undefined;
}

/** Between reading and renaming somebody may have taken the lock anew: then it is put back where it was. */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readIfThere(aside) !== stale) linkSync(aside, path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EEXIST')) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}
