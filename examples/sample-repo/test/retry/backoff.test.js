import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, retry } from '../../src/retry.js';

test('pauses double up to their limit', () => {
  assert.deepEqual(backoffMs(5, { firstMs: 100, limitMs: 500 }), [100, 200, 400, 500]);
  assert.deepEqual(backoffMs(1), []);
  assert.deepEqual(backoffMs(0), []);
});

test('a call that works at last gives its result after the pauses', async () => {
  const startMs = performance.now();
  const result = await retry((number) => (number < 3 ? Promise.reject(new Error('busy')) : `worked at try ${number}`), { firstMs: 50 });
  assert.equal(result, 'worked at try 3');
  assert.ok(performance.now() - startMs >= 145);
});
