import { statfsSync } from 'node:fs';
import { CodedError } from '@helixcode/protocol/errors';
import { isErrno } from './write-file.ts';

export function freeDiskBytes(path: string): number {
  const stat = statfsSync(path);
  return stat.bavail * stat.bsize;
}

/** Whether there was no room: on the disk, in a quota, or under a limit of the process (`ulimit -f`). */
export function isDiskFull(error: unknown): boolean {
  return (
    isErrno(error, 'ENOSPC', 'EDQUOT', 'EFBIG') ||
    (error instanceof Error && /no space left on device|out of diskspace|disk quota exceeded/i.test(error.message))
  );
}

/** @param folder where something could not be written */
export function diskFullError(folder: string, cause?: unknown): CodedError {
  const freeBytes = freeDiskBytes(folder);
  return new CodedError('worker.disk_full', `nothing can be written to ${folder}: ${freeBytes} bytes are free`, {
    next: `free space in ${folder} on the worker, then \`helix tasks retry\``,
    details: { path: folder, freeBytes },
    cause,
  });
}
