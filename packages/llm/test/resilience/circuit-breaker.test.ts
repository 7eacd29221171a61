import fc from 'fast-check';
import { expect, test } from 'vitest';
import { admit, BREAKER_MOVES, type Breaker, closedBreaker, failed, succeeded } from '../../src/resilience/circuit-breaker.ts';

const policy = { failures: 3, restMs: 1000, longestRestMs: 8000 };

const failTimes = (breaker: Breaker, times: number, nowMs: number): Breaker => {
  let after = breaker;
  for (let time = 0; time < times; time++) after = failed(after, policy, nowMs, true);
  return after;
};

test('three failures in a row open it, two and a success do not', () => {
  const twice = succeeded(failTimes(closedBreaker(policy), 2, 0), policy);

  expect(failTimes(twice, 2, 0).state).toBe('closed');
  expect(failTimes(twice, 3, 0).state).toBe('open');
});

test('while it rests nobody calls, then one tries, and its success lets everybody in', () => {
  const open = failTimes(closedBreaker(policy), 3, 0);

  expect(admit(open, 400).waitMs).toBe(600);
  const trying = admit(open, 1000);
  expect(trying).toMatchObject({ waitMs: 0, breaker: { state: 'trying' } });
  expect(admit(trying.breaker, 1001).waitMs).toBeGreaterThan(0);
  expect(admit(succeeded(trying.breaker, policy), 1002)).toMatchObject({ waitMs: 0, breaker: { state: 'closed' } });
});

test('every failed try doubles the rest, up to the longest', () => {
  let breaker = failTimes(closedBreaker(policy), 3, 0);
  const rests: number[] = [];
  for (let nowMs = 0, tries = 0; tries < 5; tries++) {
    nowMs = breaker.untilMs;
    breaker = failed(admit(breaker, nowMs).breaker, policy, nowMs, true);
    rests.push(breaker.untilMs - nowMs);
  }

  expect(rests).toEqual([2000, 4000, 8000, 8000, 8000]);
});

test('a caller that tries and never tells does not keep it closed to the others for ever', () => {
  const trying = admit(failTimes(closedBreaker(policy), 3, 0), 1000).breaker;

  expect(admit(trying, 2000)).toMatchObject({ waitMs: 0, breaker: { state: 'trying' } });
});

test('a wrong key says nothing about the model', () => {
  let breaker = closedBreaker(policy);
  for (let time = 0; time < 10; time++) breaker = failed(breaker, policy, 0, false);

  expect(breaker.state).toBe('closed');
});

test('whatever happens in whatever order, it makes no move that is not in its table, and never rests longer than the longest', () => {
  const happening = fc.constantFrom('ask', 'succeed', 'fail', 'fail elsewhere');
  fc.assert(
    fc.property(fc.array(fc.tuple(happening, fc.integer({ min: 0, max: 5000 })), { maxLength: 80 }), (happenings) => {
      let breaker = closedBreaker(policy);
      let nowMs = 0;
      for (const [what, afterMs] of happenings) {
        nowMs += afterMs;
        const before = breaker.state;
        if (what === 'ask') breaker = admit(breaker, nowMs).breaker;
        else if (what === 'succeed') breaker = succeeded(breaker, policy);
        else breaker = failed(breaker, policy, nowMs, what === 'fail');
        // A try that was lost is an opening and another try at once.
        const reachable = [before, ...Object.values(BREAKER_MOVES[before]), ...(before === 'trying' ? ['trying' as const] : [])];
        expect(reachable).toContain(breaker.state);
        expect(breaker.untilMs - nowMs).toBeLessThanOrEqual(policy.longestRestMs);
      }
    }),
  );
});
