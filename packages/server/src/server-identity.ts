import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isId, newId, type ServerId } from '@helixcode/protocol/ids';

/** This server's id: made once per data folder, so that a restart takes up what it left. */
export function readServerId(dataFolder: string): ServerId {
  const file = join(dataFolder, 'server-id');
  try {
    const text = readFileSync(file, 'utf8').trim();
    if (isId('server', text)) return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const id = newId('server');
  writeFileSync(file, `${id}\n`, { mode: 0o600 });
  return id;
}
