import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { retry } from '../../src/retry.js';

describe('a call that never works', () => {
  test('is tried as often as allowed, then its last error is thrown', async () => {
    let calls = 0;
    const call = () => {
      calls += 1;
      return Promise.reject(new Error(`try ${calls} failed`));
    };
    await assert.rejects(retry(call, { tries: 5, firstMs: 80 }), { message: 'try 5 failed' });
    assert.equal(calls, 5);
  });

  test('is not tried again when that is not worthwhile', async () => {
    let calls = 0;
    const call = () => {
      calls += 1;
      throw new RangeError('unknown product');
    };
    await assert.rejects(retry(call, { tries: 5, firstMs: 80, isWorthwhile: (error) => !(error instanceof RangeError) }), RangeError);
    assert.equal(calls, 1);
  });
});
