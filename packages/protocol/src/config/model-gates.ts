import { z } from 'zod';

const share = z.number().min(0).max(1);

/** What a model must reach in a suite. */
export const modelGates = z.strictObject({
  minPass: share.optional().describe('Share of trials passed, 0 to 1'),
  minWellFormed: share.optional().describe('Share of calls of tools that could be made as they were written, 0 to 1'),
  maxP95Ms: z.number().positive().optional().describe('Milliseconds that 95 % of calls of the model end within'),
  maxUsd: z.number().nonnegative().optional().describe('US dollars for the whole suite'),
});
export type ModelGates = z.infer<typeof modelGates>;
