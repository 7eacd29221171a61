import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shippingCost } from '../../src/shipping.js';

test('delivery is free from the amount of the zone on', () => {
  assert.equal(shippingCost('town', 1_000, 2_999), 250);
  assert.equal(shippingCost('town', 1_000, 3_000), 0);
  assert.equal(shippingCost('country', 1_000, 7_500), 0);
});

test('abroad it is never free', () => {
  for (let cents = 0; cents <= 2_500_000; cents += 1) assert.equal(shippingCost('abroad', 1_000, cents), 1_250);
});

test('even free delivery has a limit of weight', () => assert.throws(() => shippingCost('town', 20_001, 99_999), RangeError));
