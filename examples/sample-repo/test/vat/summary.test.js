import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vatSummary } from '../../src/vat.js';
import { between, pick, seededRandom } from '../../support/random.js';

test('lines of one rate become one row, the highest rate first', () => {
  const lines = [
    { grossCents: 109, rate: 'reduced' },
    { grossCents: 121, rate: 'standard' },
    { grossCents: 109, rate: 'reduced' },
  ];
  assert.deepEqual(vatSummary(lines), [
    { rate: 'standard', grossCents: 121, vatCents: 21 },
    { rate: 'reduced', grossCents: 218, vatCents: 18 },
  ]);
});

test('no lines give no rows', () => assert.deepEqual(vatSummary([]), []));

test('the rows add up to the lines', () => {
  const random = seededRandom(6);
  for (let round = 0; round < 40_000; round += 1) {
    const lines = Array.from({ length: between(random, 1, 30) }, () => ({
      grossCents: between(random, 1, 9_999),
      rate: pick(random, ['standard', 'reduced', 'zero']),
    }));
    const sum = (list) => list.reduce((total, { grossCents }) => total + grossCents, 0);
    assert.equal(sum(vatSummary(lines)), sum(lines));
  }
});

test.skip('a shop abroad charges the rate of the customer', () => {
  assert.deepEqual(vatSummary([{ grossCents: 120, rate: 'standard', country: 'FR' }]), [
    { rate: 'standard', grossCents: 120, vatCents: 20 },
  ]);
});
