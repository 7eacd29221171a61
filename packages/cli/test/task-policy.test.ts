import { RECONCILE_POLICIES, taskPolicy } from '@helixcode/protocol/task/task-spec';
import { expect, test } from 'vitest';
import { policy } from '../src/command-tree/inputs.ts';
import { durationMs } from '../src/duration.ts';
import { policyOf } from '../src/task-policy.ts';

test.each([
  ['30s', 30_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['2d', 172_800_000],
  ['500ms', 500],
  ['1.5s', 1_500],
  ['90', 90_000],
  ['0.5', 500],
])('the duration %s is %i ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each(['', 's', '5 m', '-5s', '5m3', '1e3', '30sec', '0', '0.1ms', '25d'])('%j is refused as a duration, by name', (text) => {
  expect(() => durationMs(text)).toThrow(text);
});

test('every flag of a policy becomes what the server calls it, and nothing else is sent', () => {
  const flags = {
    maxAttempts: 3,
    backoff: 100,
    replaceLost: 0,
    lostAfter: 60_000,
    reconcile: 'keep_original' as const,
    stopOnWorkerAfter: 30_000,
    checkpointEvery: 5_000,
  };
  expect(policyOf(flags)).toEqual({
    maxAttempts: 3,
    backoffMs: 100,
    replaceLost: 0,
    lostAfterMs: 60_000,
    reconcile: 'keep_original',
    stopOnWorkerAfterMs: 30_000,
    checkpoint: { everyMs: 5_000 },
  });
  expect(policyOf({ critical: true, grace: 600_000 })).toEqual({ critical: true, graceMs: 600_000 });
  expect(policyOf({ replace: false })).toEqual({ replace: false });
  expect(taskPolicy.parse(policyOf({}))).toEqual(taskPolicy.parse({}));
});

test('the choices that a flag offers are those that the server knows', () => {
  expect([...policy.reconcile.values].sort()).toEqual([...RECONCILE_POLICIES].sort());
});
