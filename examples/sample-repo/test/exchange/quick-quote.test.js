import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Exchange } from '../../src/exchange.js';

test('a tourist at the till gets a price in francs within 450 ms', async () => {
  const startMs = performance.now();
  const cents = await new Exchange().fromEuro(1_275, 'CHF');
  const tookMs = Math.round(performance.now() - startMs);
  assert.equal(cents, 1_200);
  assert.ok(tookMs < 450, `the quote took ${tookMs} ms`);
});
