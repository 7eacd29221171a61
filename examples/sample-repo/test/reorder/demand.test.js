import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demandOf } from '../../src/reorder.js';
import { between, seededRandom } from '../../support/random.js';

test('steady sales do not deviate', () => assert.deepEqual(demandOf([4, 4, 4]), { mean: 4, deviation: 0 }));

test('the deviation is that of the whole population', () =>
  assert.deepEqual(demandOf([2, 4, 4, 4, 5, 5, 7, 9]), { mean: 5, deviation: 2 }));

test('selling one more every day moves the mean, not the deviation', () => {
  const random = seededRandom(20);
  for (let round = 0; round < 13_000; round += 1) {
    const sold = Array.from({ length: 90 }, () => between(random, 0, 20));
    const [before, after] = [demandOf(sold), demandOf(sold.map((pieces) => pieces + 1))];
    assert.ok(Math.abs(after.mean - before.mean - 1) < 1e-9);
    assert.ok(Math.abs(after.deviation - before.deviation) < 1e-9);
  }
});
