import type { HelixConfig } from '@helixcode/protocol/config/helix-config';
import type { Db } from '../db/db.ts';
import type { BlobStore } from '../projects/blob-store.ts';
import type { Mirrors } from '../projects/mirror.ts';

export const DAY_MS = 86_400_000;

/** Where the server keeps things, and how much of them. */
export interface Kept {
  db: Db;
  mirrors: Mirrors;
  blobs: Pick<BlobStore, 'list' | 'remove'>;
  retention: HelixConfig['retention'];
}

/** One sweep: what it may remove is judged by the time at which it began. */
export interface Sweep extends Kept {
  dryRun: boolean;
  /** The point in time that lies so many days before the sweep. */
  before(days: number): Date;
}
