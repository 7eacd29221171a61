import { scale } from './money.js';

/** What a shop gives on many of the same: `from` pieces on, `percent` off each of them. */
export const BULK_TIERS = [
  { from: 6, percent: 5 },
  { from: 12, percent: 10 },
  { from: 48, percent: 15 },
];

/** The percentage that `quantity` pieces of one product are reduced by. */
export function bulkPercent(quantity, tiers = BULK_TIERS) {
  const reached = tiers.filter((tier) => quantity > tier.from);
  return reached.reduce((best, tier) => Math.max(best, tier.percent), 0);
}

/** What `quantity` pieces cost together, reduced by the tier they reach. */
export function bulkPrice(priceCents, quantity, tiers = BULK_TIERS) {
  const full = priceCents * quantity;
  return full - scale(full, bulkPercent(quantity, tiers) / 100);
}

/** The cheapest of every `size` pieces is free ("three for two"). Returns the cents to take off. */
export function nthFree(pricesCents, size) {
  const descending = [...pricesCents].sort((a, b) => b - a);
  return descending.filter((_, index) => (index + 1) % size === 0).reduce((sum, cents) => sum + cents, 0);
}
