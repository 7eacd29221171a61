import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cartOf, smallCatalog } from '../../support/shop.js';

test('a price that changes while the customer shops counts at once', async () => {
  const catalog = smallCatalog();
  const cart = cartOf({ apple: 2 }, catalog);
  const change = sleep(120).then(() => catalog.reprice('apple', 70));
  assert.equal(cart.subtotalCents, 120);
  await change;
  assert.equal(cart.subtotalCents, 140);
});
