import { z } from 'zod';

/**
 * Proof that a command ran at a state of the files. The server makes it from what a worker measured; nothing that a model says or writes becomes one.
 */
export const receipt = z.strictObject({
  id: z.string().min(1),
  command: z.string().min(1),
  exitCode: z.number().int(),
  /** Hash of the files before the command ran. */
  treeHash: z.string().min(1),
  /** Of a test command: what ran. */
  tests: z
    .strictObject({
      passed: z.number().int().nonnegative(),
      failed: z.number().int().nonnegative(),
      skipped: z.number().int().nonnegative(),
    })
    .optional(),
  /** The end of what it wrote, bounded: for the one who has to mend what failed. */
  outputTail: z.string().optional(),
});
export type Receipt = z.infer<typeof receipt>;
