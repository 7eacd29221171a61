import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkout } from '../../src/checkout.js';
import { seededRandom } from '../../support/random.js';
import { cartOf, largeCatalog, randomCart } from '../../support/shop.js';

test('a bill has goods, delivery and tax', () => {
  const bill = checkout(cartOf({ apple: 4, 'dish-soap': 1 }), { zone: 'town', nowMs: 0 });
  assert.equal(bill.subtotalCents, 429);
  assert.equal(bill.shippingCents, 250);
  assert.equal(bill.totalCents, 679);
  assert.deepEqual(bill.vat, [
    { rate: 'standard', grossCents: 439, vatCents: 76 },
    { rate: 'reduced', grossCents: 240, vatCents: 20 },
  ]);
});

test('an empty cart cannot be paid', () => assert.throws(() => checkout(cartOf({}), { nowMs: 0 }), { message: 'the cart is empty' }));

test('the taxed amounts add up to the total', () => {
  const random = seededRandom(28);
  const catalog = largeCatalog(300);
  const coupons = [{ code: 'FIVER', cents: 500, validFromMs: 0, validUntilMs: 10 }];
  for (let round = 0; round < 14_000; round += 1) {
    const bill = checkout(randomCart(random, catalog), { coupons, nowMs: 5 });
    assert.equal(
      bill.vat.reduce((sum, row) => sum + row.grossCents, 0),
      bill.totalCents,
    );
  }
});
