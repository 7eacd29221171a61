import { scale } from './money.js';

export const VAT_RATES = { standard: 0.21, reduced: 0.09, zero: 0 };

/** The tax inside a price that includes it. */
export function vatWithin(grossCents, rate) {
  return grossCents - scale(grossCents, 1 / (1 + rateOf(rate)));
}

export function addVat(netCents, rate) {
  return netCents + scale(netCents, rateOf(rate));
}

/** Gross lines as one row per rate, the highest rate first. */
export function vatSummary(lines) {
  const rows = new Map();
  for (const { grossCents, rate } of lines) {
    const row = rows.get(rate) ?? { rate, grossCents: 0, vatCents: 0 };
    row.grossCents += grossCents;
    rows.set(rate, row);
  }
  for (const row of rows.values()) row.vatCents = vatWithin(row.grossCents, row.rate);
  return [...rows.values()].sort((a, b) => rateOf(b.rate) - rateOf(a.rate));
}

function rateOf(rate) {
  if (!(rate in VAT_RATES)) throw new RangeError(`there is no VAT rate "${rate}"`);
  return VAT_RATES[rate];
}
