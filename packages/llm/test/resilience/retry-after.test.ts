import { expect, test } from 'vitest';
import { durationMs, retryAfterMs } from '../../src/resilience/retry-after.ts';

const nowMs = Date.UTC(2026, 0, 1);

test.each([
  ['120', 120_000],
  ['0', 0],
  ['1.5', 1500],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
  ['-5', undefined],
  ['soon', undefined],
  ['', undefined],
  [null, undefined],
])('Retry-After %j means %j ms', (header, expected) => {
  expect(retryAfterMs(header, nowMs)).toBe(expected);
});

test.each([
  ['17s', 17_000],
  ['1.5s', 1500],
  ['6m0s', 360_000],
  ['320ms', 320],
  ['1h2m', 3_720_000],
  ['5', undefined],
  ['about 5s', undefined],
  ['', undefined],
])('a duration of %j is %j ms', (text, expected) => {
  expect(durationMs(text)).toBe(expected);
});
