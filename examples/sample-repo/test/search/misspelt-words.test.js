import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { searchProducts } from '../../src/price-search.js';
import { between, seededRandom } from '../../support/random.js';
import { largeCatalog } from '../../support/shop.js';

describe('searching a large catalog', () => {
  const catalog = largeCatalog(2_500);
  const random = seededRandom(11);
  const misspell = (word) => {
    const at = between(random, 0, word.length - 1);
    return `${word.slice(0, at)}x${word.slice(at + 1)}`;
  };

  test('one wrong letter in a long word still finds the product', () => {
    for (let round = 0; round < 110; round += 1) {
      const product = catalog.all()[between(random, 0, catalog.size - 1)];
      const [first, ...rest] = product.name.split(' ');
      const query = [first.length >= 4 ? misspell(first) : first, ...rest].join(' ');
      const ids = searchProducts(catalog, query, { limit: 2_500 }).map((hit) => hit.id);
      assert.ok(ids.includes(product.id), `"${query}" should find ${product.name}`);
    }
  });

  test('two wrong letters in a short word find nothing', () => {
    assert.deepEqual(searchProducts(catalog, 'txx'), []);
  });
});
