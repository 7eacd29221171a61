import assert from 'node:assert/strict';
import { test } from 'node:test';
import { searchProducts } from '../../src/price-search.js';
import { largeCatalog } from '../../support/shop.js';

test('nothing above the limit is shown, and the limit itself is', () => {
  const catalog = largeCatalog(2_500);
  const limits = catalog
    .all()
    .slice(0, 6)
    .map((product) => product.priceCents);
  for (const maxPriceCents of limits) {
    const found = searchProducts(catalog, 'pasta', { maxPriceCents, limit: 1_000 });
    const expected = catalog.all().filter((product) => product.name.includes('Pasta') && product.priceCents <= maxPriceCents);
    assert.deepEqual(new Set(found.map((product) => product.id)), new Set(expected.map((product) => product.id)));
  }
});
