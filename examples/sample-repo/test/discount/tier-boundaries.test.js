import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BULK_TIERS, bulkPercent, bulkPrice } from '../../src/discount.js';

test('one piece short of a tier has the percentage of the tier below', () => {
  for (const [index, tier] of BULK_TIERS.entries()) assert.equal(bulkPercent(tier.from - 1), BULK_TIERS[index - 1]?.percent ?? 0);
});

test('a dozen jars of jam are already reduced as a dozen', () => {
  assert.equal(
    bulkPrice(425, 12),
    4_590,
    `12 jars at € 4.25 cost ${bulkPrice(425, 12)} cents instead of 4590: the tier "from 12 pieces on, 10 %" must hold for exactly 12 pieces, ` +
      `but bulkPercent(12) in src/discount.js gives ${bulkPercent(12)} %`,
  );
});

test('a tier that starts at nothing holds for the first piece', () => {
  for (let quantity = 1; quantity <= 800_000; quantity += 1) assert.equal(bulkPercent(quantity, [{ from: 0, percent: 3 }]), 3);
});
