import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHIPPING_RATES, shippingCost } from '../../src/shipping.js';

test('each zone has its price by weight', () => {
  assert.equal(shippingCost('town', 5_000), 250);
  assert.equal(shippingCost('town', 5_001), 450);
  assert.equal(shippingCost('country', 9_000), 795);
  assert.equal(shippingCost('abroad', 1), 1_250);
});

test('a zone we do not know is refused', () => assert.throws(() => shippingCost('moon', 1), /do not deliver to zone "moon"/));

for (const [zone, rates] of Object.entries(SHIPPING_RATES)) {
  test(`a heavier parcel is never cheaper in zone ${zone}`, () => {
    const heaviest = rates.at(-1).upToGrams;
    for (let grams = 1; grams <= heaviest; grams += 1) assert.ok(shippingCost(zone, grams) >= shippingCost(zone, grams - 1));
    assert.throws(() => shippingCost(zone, heaviest + 1), /too heavy/);
  });
}
