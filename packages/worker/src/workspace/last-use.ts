import { statSync, utimesSync } from 'node:fs';
import { isErrno } from '../home/write-file.ts';

/** Something that was kept for later jobs, and is removed or would be. */
export interface Removed {
  bytes: number;
  /** Since its last use. */
  unusedMs: number;
}

/** The time of change of a file or folder is when what it stands for was last used. */
export function noteUse(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EPERM', 'EROFS')) throw error;
  }
}

/** @returns `undefined` where there is nothing */
export function msSinceUse(path: string): number | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat && Math.max(0, Date.now() - stat.mtimeMs);
}
