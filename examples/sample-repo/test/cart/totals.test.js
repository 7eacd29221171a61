import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../support/random.js';
import { cartOf, largeCatalog, randomCart } from '../../support/shop.js';

test('lines carry their bulk discount into the subtotal', () => {
  const cart = cartOf({ apple: 4, 'strawberry-jam': 13 });
  assert.deepEqual(
    cart.lines().map((line) => line.totalCents),
    [240, 4_972],
  );
  assert.equal(cart.subtotalCents, 5_212);
});

test('the weight is that of all pieces', () => assert.equal(cartOf({ apple: 10, 'rye-bread': 1 }).weightGrams, 2_600));

test('without bulk discounts the subtotal is price times quantity', () => {
  const random = seededRandom(15);
  const catalog = largeCatalog(200);
  for (let round = 0; round < 22_000; round += 1) {
    const cart = randomCart(random, catalog);
    const expected = cart.lines().reduce((sum, { product, quantity }) => sum + product.priceCents * quantity, 0);
    assert.equal(cart.subtotalCents, expected);
  }
});
