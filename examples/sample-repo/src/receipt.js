import { formatMoney } from './money.js';
import { fit } from './text.js';

/** A receipt as a till prints it, `width` characters wide. */
export function printReceipt({ lines, subtotalCents, couponCode, couponCents, shippingCents, totalCents, vat }, width = 40) {
  const row = (left, cents) => {
    const amount = formatMoney(cents);
    const name = fit(left, width - amount.length - 1);
    return name + ' '.repeat(width - [...name].length - amount.length) + amount;
  };
  const rule = '-'.repeat(width);
  return [
    ...lines.map((line) => row(`${line.quantity} × ${line.product.name}`, line.totalCents)),
    rule,
    row('Subtotal', subtotalCents),
    ...(couponCents > 0 ? [row(`Coupon ${couponCode}`, -couponCents)] : []),
    ...(shippingCents > 0 ? [row('Delivery', shippingCents)] : []),
    row('Total', totalCents),
    rule,
    ...vat.filter(({ vatCents }) => vatCents !== 0).map(({ rate, vatCents }) => row(`of which VAT, ${rate}`, vatCents)),
  ].join('\n');
}
