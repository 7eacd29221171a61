import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../support/random.js';
import { cartOf, largeCatalog, randomCart, smallCatalog } from '../../support/shop.js';

test('the cart of a phone joins the one of the till', () => {
  const catalog = smallCatalog();
  const till = cartOf({ apple: 2 }, catalog).merge(cartOf({ apple: 1, newspaper: 1 }, catalog));
  assert.equal(till.quantityOf('apple'), 3);
  assert.equal(till.quantityOf('newspaper'), 1);
});

test('merging loses no piece', () => {
  const random = seededRandom(16);
  const catalog = largeCatalog(60);
  for (let round = 0; round < 14_000; round += 1) {
    const [one, other] = [randomCart(random, catalog), randomCart(random, catalog)];
    const pieces = one.pieces + other.pieces;
    assert.equal(one.merge(other).pieces, pieces);
  }
});
