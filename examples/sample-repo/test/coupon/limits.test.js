import assert from 'node:assert/strict';
import { test } from 'node:test';
import { couponValue } from '../../src/coupon.js';

const always = { code: 'ANY', validFromMs: 0, validUntilMs: 10 };

test('a coupon is never worth more than the order', () => {
  for (let cents = 0; cents <= 900_000; cents += 1) assert.ok(couponValue({ ...always, cents: 1_000 }, cents, 1) <= cents);
});

test('a percentage stops at its maximum', () => {
  const coupon = { ...always, percent: 25, maximumCents: 1_500 };
  assert.equal(couponValue(coupon, 4_000, 1), 1_000);
  assert.equal(couponValue(coupon, 6_000, 1), 1_500);
  for (let cents = 6_000; cents <= 900_000; cents += 1) assert.equal(couponValue(coupon, cents, 1), 1_500);
});
