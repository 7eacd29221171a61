import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bestCoupon, couponValue } from '../../src/coupon.js';
import { between, seededRandom } from '../../support/random.js';

const always = { validFromMs: 0, validUntilMs: 10 };

test('the coupon worth most wins, one that does not apply is passed over', () => {
  const coupons = [
    { ...always, code: 'TENTH', percent: 10 },
    { ...always, code: 'FIVER', cents: 500 },
    { ...always, code: 'HUGE', cents: 9_999, minimumCents: 100_000 },
  ];
  assert.equal(bestCoupon(coupons, 2_000, 5).coupon.code, 'FIVER');
  assert.equal(bestCoupon(coupons, 8_000, 5).coupon.code, 'TENTH');
  assert.equal(bestCoupon([], 8_000, 5), undefined);
});

test('no other coupon would have been worth more', () => {
  const random = seededRandom(13);
  for (let round = 0; round < 60_000; round += 1) {
    const coupons = Array.from({ length: 6 }, (_, index) =>
      index % 2 === 0
        ? { ...always, code: `P${index}`, percent: between(random, 1, 50), maximumCents: between(random, 100, 5_000) }
        : { ...always, code: `C${index}`, cents: between(random, 50, 4_000) },
    );
    const subtotalCents = between(random, 100, 30_000);
    const best = bestCoupon(coupons, subtotalCents, 5);
    for (const coupon of coupons) assert.ok(couponValue(coupon, subtotalCents, 5) <= best.cents);
  }
});

test('an error that is no refusal is not swallowed', () => {
  const broken = {
    get validFromMs() {
      throw new TypeError('broken');
    },
  };
  assert.throws(() => bestCoupon([broken], 100, 5), TypeError);
});
