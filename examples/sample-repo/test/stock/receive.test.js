import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stock } from '../../src/stock.js';

test('deliveries add up', () => {
  const stock = new Stock();
  for (let delivery = 1; delivery <= 2_000_000; delivery += 1) stock.receive('apple', 2);
  assert.equal(stock.onHand('apple'), 4_000_000);
});

test('an empty or broken delivery is refused', () => {
  for (const pieces of [0, -1, 1.5, Number.NaN]) assert.throws(() => new Stock().receive('apple', pieces), RangeError);
});

test('a product that never came has none', () => assert.equal(new Stock().available('apple'), 0));
