import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocate } from '../../src/money.js';
import { between, seededRandom } from '../../support/random.js';

test('the odd cents go to the largest remainders', () => {
  assert.deepEqual(allocate(100, [1, 1, 1]), [34, 33, 33]);
  assert.deepEqual(allocate(5, [3, 7]), [2, 3]);
  assert.deepEqual(allocate(0, [1, 2]), [0, 0]);
});

test('nothing to divide by is refused', () => {
  assert.throws(() => allocate(100, []), RangeError);
  assert.throws(() => allocate(100, [0, 0]), RangeError);
});

test('the parts always add up, and none is off by a whole cent', () => {
  const random = seededRandom(5);
  for (let round = 0; round < 45_000; round += 1) {
    const weights = Array.from({ length: between(random, 1, 12) }, () => between(random, 1, 5_000));
    const cents = between(random, 0, 500_000);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const parts = allocate(cents, weights);
    assert.equal(
      parts.reduce((sum, part) => sum + part, 0),
      cents,
    );
    for (const [index, part] of parts.entries()) assert.ok(Math.abs(part - (cents * weights[index]) / total) < 1);
  }
});
