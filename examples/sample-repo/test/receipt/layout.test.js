import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkout } from '../../src/checkout.js';
import { printReceipt } from '../../src/receipt.js';
import { seededRandom } from '../../support/random.js';
import { cartOf, largeCatalog, randomCart } from '../../support/shop.js';

test('a receipt shows what was bought and what it cost', () => {
  const coupons = [{ code: 'FIFTY', cents: 50, validFromMs: 0, validUntilMs: 10 }];
  const bill = checkout(cartOf({ 'rye-bread': 1, 'dish-soap': 2 }), { coupons, zone: 'town', nowMs: 5 });
  assert.equal(
    printReceipt(bill, 32),
    [
      '1 × Rye bread             € 3.49',
      '2 × Dish soap             € 3.78',
      '--------------------------------',
      'Subtotal                  € 7.27',
      'Coupon FIFTY             -€ 0.50',
      'Delivery                  € 2.50',
      'Total                     € 9.27',
      '--------------------------------',
      'of which VAT, standard    € 1.04',
      'of which VAT, reduced     € 0.27',
    ].join('\n'),
  );
});

test('every line of every receipt is as wide as the paper', () => {
  const random = seededRandom(30);
  const catalog = largeCatalog(300);
  for (let round = 0; round < 8_000; round += 1) {
    const bill = checkout(randomCart(random, catalog), { nowMs: 0 });
    for (const line of printReceipt(bill, 28).split('\n')) assert.equal([...line].length, 28);
  }
});
