import { CodedError } from '@helixcode/protocol/errors';
import { lastLines } from './postgres-log.ts';
import type { Place } from './postgres-place.ts';

/** Little is passed on: `PG*` variables would change the server, and keys in ours are not its business. */
export const programEnv: NodeJS.ProcessEnv = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** One of the programs ended with an error; `output` is what it said, of which the last lines are quoted. */
export function startFailed(place: Place, fact: string, output: string): CodedError {
  const isFull = output.includes('No space left on device');
  return new CodedError('database.start_failed', `the database in ${place.folder} did not start: ${fact}: ${lastLines(output)}`, {
    next: isFull ? `free space on the disk of ${place.folder}` : `read ${place.log}, or set DATABASE_URL to another PostgreSQL`,
  });
}

/** The system could not run it: another libc, a missing library, a folder mounted noexec. */
export function notExecutable(program: string, fact: string, cause: unknown): CodedError {
  return new CodedError('database.binaries_missing', `${program} cannot be executed on this machine: ${fact}`, {
    next: 'set DATABASE_URL to a PostgreSQL 15 or newer (the programs from npm need glibc 2.27 or newer, or macOS)',
    cause,
  });
}
