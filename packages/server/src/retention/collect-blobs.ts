import { forgetBuilds, listBlobsInUse, readBuildUses } from './retention-sql.ts';
import type { Sweep } from './sweep.ts';
import type { Tally } from './tally.ts';

/**
 * What was stored or found so recently may belong to something that is only being written down: a report that follows its
 * archive, a build that has just found it.
 */
const JUST_USED_MS = 3_600_000;

/** Removes archives by their age, and the longest unused beyond the limit of bytes; none that a task needs which goes on. */
export async function collectBlobs(sweep: Sweep, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  const { db, blobs, retention, dryRun } = sweep;
  const justUsed = new Date(sweep.before(0).getTime() - JUST_USED_MS);
  const unusedSince = sweep.before(retention.blobDays);
  const [stored, foundAt, inUse] = [await blobs.list(), await readBuildUses(db), await listBlobsInUse(db)];

  const byUse = stored
    .map((blob) => ({ ...blob, usedAt: later(blob.usedAt, foundAt.get(blob.key)) }))
    .sort((a, b) => a.usedAt.getTime() - b.usedAt.getTime());
  let bytes = byUse.reduce((sum, blob) => sum + blob.bytes, 0);
  for (const blob of byUse) {
    signal?.throwIfAborted();
    if (blob.usedAt >= justUsed || inUse.has(blob.key)) continue;
    if (blob.usedAt >= unusedSince && bytes <= retention.blobBytes) continue;
    if (!dryRun) {
      // First no build can find it, then it goes; one that found it before has said so in the cache.
      if ((await db.tx((tx) => forgetBuilds(tx, [blob.key], justUsed))).has(blob.key)) continue;
      if (!(await blobs.remove(blob.key))) continue;
    }
    bytes -= blob.bytes;
    tally.add({ count: 1, bytes: blob.bytes, oldest: blob.usedAt });
  }
}

function later(a: Date, b: Date | undefined): Date {
  return b !== undefined && b > a ? b : a;
}
