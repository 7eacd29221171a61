import { z } from 'zod';

/**
 * A *unit* is what a runner can be told to run alone: a test file for most, a package for Go, a test binary for Cargo.
 * Its name is relative to the repository's root and stays the same from run to run, since timings are kept under it.
 */
export const testCase = z.object({
  unit: z.string(),
  /** Suites and title, joined by ` > `; unique within its unit together with `repeat`. */
  name: z.string(),
  outcome: z.enum(['passed', 'failed', 'skipped']),
  durationMs: z.number().nonnegative(),
  /** Of a failure: the message and stack as the runner gave them, bounded. */
  message: z.string().optional(),
  /** Of a failure: where, relative to the repository's root. */
  file: z.string().optional(),
  line: z.number().int().positive().optional(),
});
export type TestCase = z.infer<typeof testCase>;

/** What one run of a unit gave. `error`: it failed outside any test (import error, crash); `missing`: no result came. */
export const unitResult = z.object({
  unit: z.string(),
  outcome: z.enum(['passed', 'failed', 'error', 'missing']),
  durationMs: z.number().nonnegative(),
  cases: z.array(testCase),
  /** Of an error: the message and stack; of a missing unit: why there is no result, as far as is known. */
  message: z.string().optional(),
  /** Of an error: where, relative to the repository's root. */
  file: z.string().optional(),
  line: z.number().int().positive().optional(),
});
export type UnitResult = z.infer<typeof unitResult>;

export const testTotals = z.object({
  units: z.number().int(),
  tests: z.number().int(),
  passed: z.number().int(),
  failed: z.number().int(),
  skipped: z.number().int(),
  /** Units that failed outside any test, or never gave a result. */
  errors: z.number().int(),
  /** Tests that failed once and passed when run again at the same commit. */
  flaky: z.number().int(),
});
export type TestTotals = z.infer<typeof testTotals>;

/** The merged result of a sharded run: `result` of a task of kind `test`. */
export const testReport = z.object({
  runner: z.string(),
  totals: testTotals,
  /** Failed tests after the retry, and failed units. */
  failures: z.array(
    z.object({
      unit: z.string(),
      name: z.string(),
      message: z.string(),
      file: z.string().optional(),
      line: z.number().int().positive().optional(),
    }),
  ),
  flaky: z.array(z.object({ unit: z.string(), name: z.string(), message: z.string() })),
  shards: z.number().int(),
  /** Sum over units of their own time: what one slot would have needed. */
  serialMs: z.number(),
  wallMs: z.number(),
  /** Share of the slots' time, from the first shard's start to the last one's end, in which a shard ran (0–1). */
  utilisation: z.number(),
  slots: z.number().int(),
  workers: z.array(z.string()),
  /** Share of lines covered (0–1), where the runner gave coverage. */
  lineCoverage: z.number().optional(),
});
export type TestReport = z.infer<typeof testReport>;
