import { z } from 'zod';

/** What bounds one snapshot of a checkout. */
export const checkpointLimits = z.object({
  /** A larger file is left out, and named. */
  maxFileBytes: z.number().int().positive(),
  /** Of all recorded files together; the smallest go in first, the others are left out and named. */
  maxBytes: z.number().int().positive(),
  /** Wall time of taking it; a snapshot that takes longer is given up. */
  maxMs: z.number().int().positive(),
});
export type CheckpointLimits = z.infer<typeof checkpointLimits>;

/** What is asked for. */
export const snapshotOrder = z.object({
  /** Comes back with the snapshot, or with the reason why there is none. */
  request: z.string(),
  limits: checkpointLimits,
  /** Hash of a tree: a checkout that holds just that is not brought; `unrecorded` says `checkpoint.unchanged`. */
  known: z.string().optional(),
});
export type SnapshotOrder = z.infer<typeof snapshotOrder>;

/** Who wanted a checkpoint: somebody (`asked`), the clock (`interval`), or an attempt that did not end well (`end`). */
export const CHECKPOINT_CAUSES = ['asked', 'interval', 'end'] as const;
export type CheckpointCause = (typeof CHECKPOINT_CAUSES)[number];

/** So many files that were left out are named; the others are only counted. */
export const LEFT_OUT_NAMES = 100;

export const leftOutFile = z.object({
  path: z.string(),
  bytes: z.number().int().nonnegative(),
  /** Over the limit of a file, over the limit of all, a git repository of its own, or not to be read. */
  why: z.enum(['too_large', 'no_room', 'repository', 'unreadable']),
});
export type LeftOutFile = z.infer<typeof leftOutFile>;

/** What a worker says of a snapshot, ahead of the bundle that holds it. */
export const checkpointHeader = z.object({
  cause: z.enum(CHECKPOINT_CAUSES),
  /** Of the one who asked. */
  request: z.string().optional(),
  commit: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/),
  /** Files that differ from the commit it stands on. */
  files: z.number().int().nonnegative(),
  bundleBytes: z.number().int().nonnegative(),
  /** From the order to the finished bundle, on the worker. */
  tookMs: z.number().nonnegative(),
  leftOut: z.array(leftOutFile).max(LEFT_OUT_NAMES),
  leftOutCount: z.number().int().nonnegative(),
});
export type CheckpointHeader = z.infer<typeof checkpointHeader>;
