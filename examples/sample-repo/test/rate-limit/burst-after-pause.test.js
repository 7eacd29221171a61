import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RateLimit } from '../../src/rate-limit.js';

describe('after a quiet window', () => {
  test('a whole burst may start at once', async () => {
    const limit = new RateLimit({ count: 5, windowMs: 500 });
    await Promise.all(Array.from({ length: 5 }, () => limit.run(() => undefined)));
    assert.ok(limit.waitMs() > 0);
    await sleep(520);
    for (let call = 0; call < 5; call += 1) {
      assert.equal(limit.waitMs(), 0);
      await limit.run(() => undefined);
    }
    assert.ok(limit.waitMs() > 0);
  });

  test('but not a second one', async () => {
    const limit = new RateLimit({ count: 2, windowMs: 450 });
    const startMs = performance.now();
    for (let call = 0; call < 5; call += 1) await limit.run(() => undefined);
    assert.ok(performance.now() - startMs >= 890);
  });
});
