import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Cart } from '../../src/cart.js';
import { between, pick, seededRandom } from '../../support/random.js';
import { cartOf, smallCatalog } from '../../support/shop.js';

describe('a cart', () => {
  test('counts the pieces of a product', () => {
    const cart = cartOf({ apple: 3 }).add('apple', 2).add('oat-milk');
    assert.equal(cart.quantityOf('apple'), 5);
    assert.equal(cart.pieces, 6);
  });

  test('forgets a product of which nothing is left', () => {
    assert.deepEqual(cartOf({ apple: 3 }).add('apple', -3).lines(), []);
  });

  describe('refuses', () => {
    test('to give back more than it holds', () => {
      assert.throws(() => cartOf({ apple: 1 }).add('apple', -2), { message: 'there are not 2 of apple in the cart' });
    });

    test('what the shop does not sell', () => {
      assert.throws(() => cartOf({}).add('caviar'), /not in the catalog/);
    });
  });

  test('holds what was put in less what was taken out', () => {
    const catalog = smallCatalog();
    const random = seededRandom(14);
    for (let round = 0; round < 2_200; round += 1) {
      const cart = new Cart(catalog);
      const expected = new Map();
      for (let step = 0; step < 100; step += 1) {
        const { id } = pick(random, catalog.all());
        const pieces = between(random, -(expected.get(id) ?? 0), 9);
        cart.add(id, pieces);
        expected.set(id, (expected.get(id) ?? 0) + pieces);
      }
      for (const [id, quantity] of expected) assert.equal(cart.quantityOf(id), quantity);
    }
  });
});
