import assert from 'node:assert/strict';
import { test } from 'node:test';
import { searchProducts } from '../../src/price-search.js';
import { largeCatalog, smallCatalog } from '../../support/shop.js';

test('all words must fit, in any order', () => {
  assert.deepEqual(
    searchProducts(smallCatalog(), 'bread rye').map((product) => product.id),
    ['rye-bread'],
  );
  assert.deepEqual(searchProducts(smallCatalog(), 'rye milk'), []);
});

test('the beginning of a word is enough', () => {
  assert.deepEqual(
    searchProducts(smallCatalog(), 'straw').map((product) => product.id),
    ['strawberry-jam'],
  );
});

test('an empty search finds nothing', () => assert.deepEqual(searchProducts(smallCatalog(), ' ?! '), []));

test('cheaper products come first among equals', () => {
  const found = searchProducts(largeCatalog(3_500), 'honey', { limit: 50 });
  assert.ok(found.length > 20);
  for (let at = 1; at < found.length; at += 1) assert.ok(found[at - 1].priceCents <= found[at].priceCents);
});
