import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from '../../src/rate-limit.js';

test('calls start in the order they came', async () => {
  const limit = new RateLimit({ count: 3, windowMs: 60 });
  const started = [];
  await Promise.all(Array.from({ length: 9 }, (_, number) => limit.run(() => started.push(number))));
  assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a call that fails does not hold up the next one', async () => {
  const limit = new RateLimit({ count: 1, windowMs: 40 });
  const failed = limit.run(() => Promise.reject(new Error('no')));
  const next = limit.run(() => 'yes');
  await assert.rejects(failed, { message: 'no' });
  assert.equal(await next, 'yes');
});
