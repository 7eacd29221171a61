import { z } from 'zod';

/** What a worker keeps for later jobs. */
export const TIDIED_KINDS = ['worktrees', 'repositories', 'setups'] as const;

/** What of it may stay. What a job uses always stays. */
export const tidyLimits = z.object({
  /** Since its last use. */
  unusedMs: z.number().min(0),
  /** All set-up archives together; the longest unused go first. */
  setupBytes: z.number().int().min(0),
});
export type TidyLimits = z.infer<typeof tidyLimits>;

export const tidied = z.object({
  kind: z.enum(TIDIED_KINDS),
  count: z.number().int(),
  bytes: z.number().int(),
  /** Time since the last use of the longest unused of them; absent where there are none. */
  unusedMs: z.number().optional(),
});
export type Tidied = z.infer<typeof tidied>;
