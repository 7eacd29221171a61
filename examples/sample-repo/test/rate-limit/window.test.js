import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from '../../src/rate-limit.js';

test('no window ever holds more calls than allowed', async () => {
  const windowMs = 600;
  const limit = new RateLimit({ count: 4, windowMs });
  const startsMs = [];
  await Promise.all(Array.from({ length: 18 }, () => limit.run(() => startsMs.push(performance.now()))));
  assert.equal(startsMs.length, 18);
  // A call is noted a moment after its turn began.
  for (let at = 4; at < startsMs.length; at += 1) assert.ok(startsMs[at] - startsMs[at - 4] >= windowMs - 100);
});
