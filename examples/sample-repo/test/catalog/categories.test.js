import assert from 'node:assert/strict';
import { test } from 'node:test';
import { largeCatalog, smallCatalog } from '../../support/shop.js';

test('a category lists its products, an unknown one none', () => {
  assert.deepEqual(
    smallCatalog()
      .inCategory('fruit')
      .map((product) => product.name),
    ['Apple'],
  );
  assert.deepEqual(smallCatalog().inCategory('toys'), []);
});

test('every product is in exactly one category', () => {
  const catalog = largeCatalog(40_000);
  const listed = ['pantry', 'drinks', 'dairy'].flatMap((category) => catalog.inCategory(category));
  assert.equal(new Set(listed).size, catalog.size);
  assert.equal(listed.length, catalog.size);
});
