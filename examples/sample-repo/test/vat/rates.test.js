import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addVat, VAT_RATES, vatWithin } from '../../src/vat.js';

test('the tax within a price is not the rate times the price', () => {
  assert.equal(vatWithin(12_100, 'standard'), 2_100);
  assert.equal(vatWithin(10_900, 'reduced'), 900);
  assert.equal(vatWithin(10_000, 'zero'), 0);
});

test('an unknown rate is refused', () => {
  assert.throws(() => vatWithin(100, 'luxury'), { message: 'there is no VAT rate "luxury"' });
});

for (const rate of Object.keys(VAT_RATES)) {
  test(`adding ${rate} VAT and looking it up in the result agree for every net price`, () => {
    for (let netCents = 0; netCents <= 900_000; netCents += 1) {
      const gross = addVat(netCents, rate);
      assert.equal(gross - vatWithin(gross, rate), netCents);
    }
  });
}
