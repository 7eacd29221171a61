import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '../../src/catalog.js';
import { searchProducts } from '../../src/price-search.js';
import { largeCatalog } from '../../support/shop.js';

test('a whole word goes before a beginning, a beginning before a slip', () => {
  const catalog = new Catalog();
  for (const name of ['Mild cheddar', 'Milk', 'Milkshake']) catalog.add({ name, priceCents: 100, category: 'dairy' });
  assert.deepEqual(
    searchProducts(catalog, 'milk').map((product) => product.name),
    ['Milk', 'Milkshake', 'Mild cheddar'],
  );
});

test('the same search gives the same list each time', () => {
  const catalog = largeCatalog(5_000);
  const first = searchProducts(catalog, 'green tea', { limit: 30 });
  assert.equal(first.length, 30);
  for (let round = 0; round < 3; round += 1) assert.deepEqual(searchProducts(catalog, 'green tea', { limit: 30 }), first);
});
