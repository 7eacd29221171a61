import type { AttemptId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { readOutput, readStreamLength } from './attempt-sql.ts';

const CHUNKS_AT_ONCE = 64;

/** A stored stream of an attempt, whole or its `lastBytes`; `undefined` when nothing of it is stored. */
export async function readStream(db: Db, attempt: AttemptId, stream: string, lastBytes?: number): Promise<Buffer | undefined> {
  const length = await readStreamLength(db, attempt, stream);
  if (length === 0) return undefined;
  return readRange(db, attempt, stream, lastBytes === undefined ? 0 : Math.max(0, length - lastBytes), length);
}

/** Bytes `from` (inclusive) to `to` (exclusive), fewer where they are not stored yet. */
export async function readRange(db: Db, attempt: AttemptId, stream: string, from: number, to: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let at = from;
  while (at < to) {
    const chunks = await readOutput(db, attempt, stream, at, CHUNKS_AT_ONCE);
    const before = at;
    for (const { off, data } of chunks) {
      if (off > at || off + data.length <= at) continue;
      const part = data.subarray(at - off, to - off);
      parts.push(part);
      at += part.length;
    }
    if (at === before) break;
  }
  return Buffer.concat(parts);
}
