import assert from 'node:assert/strict';
import { test } from 'node:test';
import { couponValue } from '../../src/coupon.js';

const coupon = { code: 'SPRING', percent: 10, validFromMs: 1_000, validUntilMs: 2_000, minimumCents: 500 };

test('a coupon counts from its first moment to just before its last', () => {
  assert.throws(() => couponValue(coupon, 1_000, 999), { message: 'coupon SPRING is not valid yet' });
  assert.equal(couponValue(coupon, 1_000, 1_000), 100);
  assert.equal(couponValue(coupon, 1_000, 1_999), 100);
  assert.throws(() => couponValue(coupon, 1_000, 2_000), { message: 'coupon SPRING has expired' });
});

test('it needs its minimum', () => {
  assert.throws(() => couponValue(coupon, 499, 1_500), /needs a larger order/);
  for (let cents = 500; cents < 2_500_000; cents += 1) assert.ok(couponValue(coupon, cents, 1_500) >= 50);
});
