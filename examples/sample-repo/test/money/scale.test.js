import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scale } from '../../src/money.js';
import { between, seededRandom } from '../../support/random.js';

test('half a cent goes up, below zero down', () => {
  assert.equal(scale(5, 0.5), 3);
  assert.equal(scale(-5, 0.5), -3);
  assert.equal(scale(100, 1.005), 101);
});

test('a product that is whole stays as it is', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 600_000; round += 1) {
    const cents = between(random, 0, 1_000_000);
    const percent = between(random, 0, 100);
    assert.equal(scale(cents * 100, percent / 100), cents * percent);
  }
});

test('scaling is the same on both sides of zero', () => {
  const random = seededRandom(4);
  for (let round = 0; round < 600_000; round += 1) {
    const cents = between(random, 1, 1_000_000);
    const factor = random() * 2;
    assert.equal(scale(-cents, factor), 0 - scale(cents, factor));
  }
});
