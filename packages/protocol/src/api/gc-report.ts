import { z } from 'zod';
import { TIDIED_KINDS } from '../worker/tidy.ts';

/** What the server itself keeps for a time. */
export const GC_KINDS = ['output', 'checkpoints', 'tasks', 'snapshots', 'blobs', 'events', 'connections', 'workflows'] as const;

export const gcItem = z.object({
  kind: z.enum([...GC_KINDS, ...TIDIED_KINDS]),
  worker: z.string().optional().describe('Name of the worker it is on; absent: on the server'),
  count: z.number().int().describe('Attempts, checkpoints, task trees, commits, archives, events, moves, drivers, folders'),
  bytes: z
    .number()
    .int()
    .optional()
    .describe('Of checkpoints and snapshots: the size in which they travelled; absent where it is not known'),
  oldest: z.string().optional().describe('RFC 3339: end or last use of the oldest of them'),
});
export type GcItem = z.infer<typeof gcItem>;

export const gcReport = z.object({
  dryRun: z.boolean(),
  items: z.array(gcItem).describe('Every kind on the server, and every kind of each worker that answered'),
});
export type GcReport = z.infer<typeof gcReport>;
