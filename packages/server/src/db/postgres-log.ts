import { closeSync, openSync, readSync, renameSync, statSync } from 'node:fs';

const logKeptBytes = 16 * 1024 * 1024;

/** Puts a log that grew large aside; @returns the size from which the next start writes, in bytes. */
export function rotatedLogSize(log: string): number {
  const bytes = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes < logKeptBytes) return bytes;
  renameSync(log, `${log}.1`);
  return 0;
}

/** What was written from `startByte` on, at most its last 64 KiB. */
export function textFrom(file: string, startByte: number): string {
  const log = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(64 * 1024);
    const from = Math.max(startByte, statSync(file).size - buffer.length);
    return buffer.toString('utf8', 0, readSync(log, buffer, 0, buffer.length, from));
  } finally {
    closeSync(log);
  }
}

/** The lines that tell why, out of all a program said. */
export function lastLines(output: string): string {
  const lines = output.trim().split('\n');
  const fatal = lines.filter((line) => /FATAL|PANIC|error:/.test(line));
  return (fatal.length > 0 ? fatal : lines).slice(-3).join(' | ').slice(0, 600);
}
