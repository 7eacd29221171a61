import { scale } from './money.js';

/** Cents that a coupon takes off `subtotalCents`, never more than that. Throws when it does not apply, saying why. */
export function couponValue(coupon, subtotalCents, nowMs) {
  if (nowMs < coupon.validFromMs) throw new RangeError(`coupon ${coupon.code} is not valid yet`);
  if (nowMs >= coupon.validUntilMs) throw new RangeError(`coupon ${coupon.code} has expired`);
  if (subtotalCents < (coupon.minimumCents ?? 0)) throw new RangeError(`coupon ${coupon.code} needs a larger order`);
  const value = coupon.percent === undefined ? coupon.cents : scale(subtotalCents, coupon.percent / 100);
  return Math.min(value, subtotalCents, coupon.maximumCents ?? Number.POSITIVE_INFINITY);
}

/** Of several coupons at most one counts: the one worth most. */
export function bestCoupon(coupons, subtotalCents, nowMs) {
  let best;
  for (const coupon of coupons) {
    try {
      const cents = couponValue(coupon, subtotalCents, nowMs);
      if (best === undefined || cents > best.cents) best = { coupon, cents };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return best;
}
