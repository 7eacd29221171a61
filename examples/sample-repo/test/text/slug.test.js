import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slug } from '../../src/text.js';
import { largeCatalog } from '../../support/shop.js';

test('accents, spaces and signs leave a name that fits an address', () => {
  assert.equal(slug('Crème brûlée (200 g)'), 'creme-brulee-200-g');
  assert.equal(slug('  Jalapeños!  '), 'jalapenos');
  assert.equal(slug('—'), '');
});

test('a slug of a slug is itself', () => {
  for (const { id } of largeCatalog(45_000).all()) assert.equal(slug(id), id);
});
