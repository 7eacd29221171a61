import { appendFileSync, renameSync, statSync } from 'node:fs';

/** Two files of this size are kept. */
const LOG_LIMIT_BYTES = 1024 * 1024;

/** @returns a writer of lines with a time; it never throws: a full disk costs the line only */
export function daemonLog(path: string): (line: string) => void {
  return (line) => {
    try {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`);
      appendFileSync(path, `${new Date().toISOString()} ${process.pid} ${line}\n`, { mode: 0o600 });
    } catch {
      // Nowhere left to say it.
    }
  };
}
