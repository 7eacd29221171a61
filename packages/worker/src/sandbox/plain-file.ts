import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/**
 * Reads a file that commands in a sandbox could have replaced: by a link to one they must not read, or by a pipe at
 * which the reader would wait for ever.
 *
 * @returns `undefined` when there is no ordinary file
 */
export function readPlainFile(path: string): { bytes: Buffer; mtimeMs: number } | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    return stat.isFile() ? { bytes: readFileSync(file), mtimeMs: stat.mtimeMs } : undefined;
  } finally {
    closeSync(file);
  }
}
