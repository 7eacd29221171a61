import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketPerMinute, giveBack, take } from '../../src/resilience/token-bucket.ts';

test('a full bucket gives its capacity at once, and then one at a time', () => {
  let bucket = bucketPerMinute(60, 0);
  const waits: number[] = [];
  for (let call = 0; call < 62; call++) {
    const taken = take(bucket, 1, 0);
    bucket = taken.bucket;
    waits.push(taken.waitMs);
  }

  expect(waits.slice(0, 60).every((wait) => wait === 0)).toBe(true);
  expect(waits.slice(60)).toEqual([1000, 2000]);
});

test('whatever callers do, they never use more than the capacity and what flowed in since', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 20_000 }), amount: fc.integer({ min: 1, max: 200 }) }), {
        minLength: 1,
        maxLength: 60,
      }),
      (limit, calls) => {
        let bucket = bucketPerMinute(limit, 0);
        let nowMs = 0;
        let lastUseMs = 0;
        let used = 0;
        for (const { afterMs, amount } of calls) {
          nowMs += afterMs;
          const taken = take(bucket, amount, nowMs);
          bucket = taken.bucket;
          const useMs = nowMs + taken.waitMs;
          // Callers are served in the order they ask.
          expect(useMs).toBeGreaterThanOrEqual(lastUseMs - 1);
          lastUseMs = Math.max(lastUseMs, useMs);
          used += amount;
          // Over any time since the start: at most what was there plus what flowed in.
          expect(used).toBeLessThanOrEqual(limit + (useMs * limit) / 60_000 + 1e-6);
        }
      },
    ),
  );
});

test('what is given back can be taken again, but a bucket never holds more than its capacity', () => {
  const { bucket } = take(bucketPerMinute(100, 0), 80, 0);

  expect(take(giveBack(bucket, 60, 0), 80, 0).waitMs).toBe(0);
  expect(giveBack(bucket, 500, 0).level).toBe(100);
});

test('a clock that goes backwards gives nothing away', () => {
  const { bucket } = take(bucketPerMinute(60, 100_000), 60, 100_000);

  expect(take(bucket, 1, 40_000).waitMs).toBe(1000);
});
