import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../home/write-file.ts';

/** Bytes that the files below a folder take on the disk, those it shares by hard links included; what vanishes meanwhile counts as nothing. */
export async function folderSize(folder: string): Promise<number> {
  let bytes = 0;
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    try {
      for (const entry of await readdir(next, { withFileTypes: true })) {
        const path = join(next, entry.name);
        if (entry.isDirectory()) open.push(path);
        else bytes += (await lstat(path)).blocks * 512;
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) throw error;
    }
  }
  return bytes;
}
