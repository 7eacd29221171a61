import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkout } from '../../src/checkout.js';
import { seededRandom } from '../../support/random.js';
import { cartOf, largeCatalog, randomCart } from '../../support/shop.js';

const coupon = { code: 'TENTH', percent: 10, validFromMs: 0, validUntilMs: 10 };

describe('a coupon at the checkout', () => {
  test('lowers every line in proportion', () => {
    const bill = checkout(cartOf({ 'rye-bread': 1, 'oat-milk': 2 }), { coupons: [coupon], nowMs: 5 });
    assert.equal(bill.couponCode, 'TENTH');
    assert.deepEqual(
      bill.lines.map((line) => line.reductionCents),
      [35, 44],
    );
    assert.equal(bill.totalCents, 708);
  });

  test('that has expired is passed over in silence', () => {
    const bill = checkout(cartOf({ apple: 1 }), { coupons: [coupon], nowMs: 10 });
    assert.equal(bill.couponCode, undefined);
    assert.equal(bill.totalCents, 60);
  });

  describe('and delivery', () => {
    test('may bring the order below the free limit', () => {
      const cart = cartOf({ 'strawberry-jam': 5, 'rye-bread': 3 });
      assert.equal(checkout(cart, { zone: 'town', nowMs: 5 }).shippingCents, 0);
      assert.equal(checkout(cart, { zone: 'town', coupons: [coupon], nowMs: 5 }).shippingCents, 250);
    });
  });

  test('is never lost to rounding', () => {
    const random = seededRandom(29);
    const catalog = largeCatalog(300);
    for (let round = 0; round < 11_000; round += 1) {
      const bill = checkout(randomCart(random, catalog), { coupons: [coupon], nowMs: 5 });
      assert.equal(
        bill.lines.reduce((sum, line) => sum + line.reductionCents, 0),
        bill.couponCents,
      );
    }
  });
});
