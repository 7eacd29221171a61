import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '../../src/catalog.js';
import { largeCatalog, smallCatalog } from '../../support/shop.js';

test('a product is found by the slug of its name', () => {
  assert.equal(smallCatalog().get('rye-bread').priceCents, 349);
  assert.throws(() => smallCatalog().get('caviar'), { message: 'caviar is not in the catalog' });
});

test('two products cannot share an id', () => {
  const catalog = smallCatalog();
  assert.throws(() => catalog.add({ name: 'Rye  Bread!', priceCents: 1, category: 'bakery' }), /already in the catalog/);
});

test('a price must be whole cents', () => {
  const catalog = new Catalog();
  for (const priceCents of [1.5, -1, Number.NaN, '100', undefined])
    assert.throws(() => catalog.add({ name: 'Apple', priceCents, category: 'fruit' }), /no price in whole cents/);
  assert.equal(catalog.size, 0);
});

test('a large catalog knows all of its products', () => {
  const catalog = largeCatalog(70_000);
  assert.equal(catalog.size, 70_000);
  for (const product of catalog.all()) assert.equal(catalog.get(product.id), product);
});
