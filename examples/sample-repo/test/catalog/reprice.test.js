import assert from 'node:assert/strict';
import { test } from 'node:test';
import { largeCatalog, smallCatalog } from '../../support/shop.js';

test('a new price leaves the product that someone already holds as it was', () => {
  const catalog = smallCatalog();
  const before = catalog.get('apple');
  const after = catalog.reprice('apple', 75);
  assert.equal(before.priceCents, 60);
  assert.equal(catalog.get('apple'), after);
  assert.throws(() => {
    after.priceCents = 1;
  }, TypeError);
});

test('repricing everything keeps the order of the catalog', () => {
  const catalog = largeCatalog(60_000);
  const ids = catalog.all().map((product) => product.id);
  for (const { id, priceCents } of catalog.all()) catalog.reprice(id, priceCents + 1);
  assert.deepEqual(
    catalog.all().map((product) => product.id),
    ids,
  );
});
