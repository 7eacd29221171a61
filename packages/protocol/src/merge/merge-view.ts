import { z } from 'zod';
import { MERGE_STATES } from './merge-state.ts';

/** One path that two changes leave in different ways. */
export const mergeConflict = z.object({
  /** Relative to the repository's root. */
  path: z.string(),
  /** As git names it: `contents`, `modify/delete`, `rename/delete`, `binary`, `submodule`, … */
  kind: z.string(),
  message: z.string(),
  /**
   * The places that differ, each in its three versions: merged so far, before both, this change. Of a file that one side
   * deleted: what the other side changed in it. Absent where there is no text to show.
   */
  text: z.string().optional(),
  /** Whether the text was cut at its bound. */
  isCut: z.boolean(),
});
export type MergeConflict = z.infer<typeof mergeConflict>;

/** Why a change went back to its owner. `onto`: the commit it has to fit, to rebase on. */
export const mergeReturn = z.discriminatedUnion('why', [
  z.object({
    why: z.literal('conflict'),
    onto: z.string(),
    conflicts: z.array(mergeConflict),
    /** Further paths that are not listed. */
    more: z.number().int(),
  }),
  z.object({
    why: z.literal('verification'),
    onto: z.string(),
    /** What was verified: the change on top of `onto`. */
    commit: z.string(),
    /** What failed, with file and line where they are known. */
    summary: z.string(),
  }),
]);
export type MergeReturn = z.infer<typeof mergeReturn>;

const fact = z.object({
  code: z.string(),
  message: z.string(),
  next: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

export const mergeEntryView = z.object({
  id: z.string(),
  title: z.string(),
  task: z.string().describe('Owns the change'),
  state: z.enum(MERGE_STATES),
  try: z.number().int().describe('Which time it was handed in, from 1'),
  commit: z.string().describe('The work as its owner left it'),
  merged: z.string().optional().describe('The commit of the queue that holds it'),
  receipts: z.array(z.string()).describe('Signed evidence of what verified it'),
  returned: mergeReturn.optional().describe('Why its last try went back to its owner'),
  failure: fact.optional().describe('Of a refused one: why'),
  createdAt: z.string(),
  finishedAt: z.string().optional(),
});

export const mergeQueueView = z.object({
  id: z.string(),
  project: z.string(),
  base: z.string().describe('The commit it began at'),
  tip: z.string().describe('The newest commit; a line of one commit for each merged change leads to it from the base'),
  maxTries: z.number().int(),
  entries: z.array(mergeEntryView).describe('In the order in which they came'),
});
export type MergeQueueView = z.infer<typeof mergeQueueView>;
