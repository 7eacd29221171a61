import { bestCoupon } from './coupon.js';
import { allocate } from './money.js';
import { shippingCost } from './shipping.js';
import { vatSummary } from './vat.js';

/** Everything a customer has to pay, and why. Prices include VAT; a coupon lowers every line in proportion. */
export function checkout(cart, { coupons = [], zone, nowMs }) {
  const lines = cart.lines();
  if (lines.length === 0) throw new RangeError('the cart is empty');
  const subtotalCents = cart.subtotalCents;
  const coupon = bestCoupon(coupons, subtotalCents, nowMs);
  const reductions =
    coupon && subtotalCents > 0
      ? allocate(
          coupon.cents,
          lines.map((line) => line.totalCents),
        )
      : lines.map(() => 0);
  const goodsCents = subtotalCents - (coupon?.cents ?? 0);
  const shippingCents = zone === undefined ? 0 : shippingCost(zone, cart.weightGrams, goodsCents);
  const taxed = lines.map((line, index) => ({ grossCents: line.totalCents - reductions[index], rate: line.product.vat }));
  if (shippingCents > 0) taxed.push({ grossCents: shippingCents, rate: 'standard' });
  return {
    lines: lines.map((line, index) => ({ ...line, reductionCents: reductions[index] })),
    subtotalCents,
    couponCode: coupon?.coupon.code,
    couponCents: coupon?.cents ?? 0,
    shippingCents,
    totalCents: goodsCents + shippingCents,
    vat: vatSummary(taxed),
  };
}
