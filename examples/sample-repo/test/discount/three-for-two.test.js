import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nthFree } from '../../src/discount.js';
import { between, seededRandom } from '../../support/random.js';

test('the cheapest of each three is free', () => {
  assert.equal(nthFree([300, 100, 200], 3), 100);
  assert.equal(nthFree([500, 500, 100, 100, 300, 200], 3), 400);
  assert.equal(nthFree([300, 100], 3), 0);
});

test('never more than a third of the bill is free', () => {
  const random = seededRandom(12);
  for (let round = 0; round < 40_000; round += 1) {
    const pricesCents = Array.from({ length: between(random, 1, 40) }, () => between(random, 1, 999));
    const sum = pricesCents.reduce((total, cents) => total + cents, 0);
    assert.ok(nthFree(pricesCents, 3) * 3 <= sum);
  }
});
