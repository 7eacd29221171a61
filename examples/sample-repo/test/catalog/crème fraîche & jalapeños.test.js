import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '../../src/catalog.js';
import { searchProducts } from '../../src/price-search.js';
import { plain } from '../../src/text.js';

const NAMES = ['Crème fraîche', 'Jalapeños', 'Smørrebrød', 'Żurek', 'Käsespätzle', 'Pâté', 'Ayran', 'Börek'];

test('names with accents have plain ids', () => {
  const catalog = new Catalog();
  for (const name of NAMES) assert.match(catalog.add({ name, priceCents: 100, category: 'delicacies' }).id, /^[a-z0-9-]+$/);
});

test('they are found with and without their accents', () => {
  const catalog = new Catalog();
  for (const name of NAMES) catalog.add({ name, priceCents: 100, category: 'delicacies' });
  for (let round = 0; round < 250; round += 1) {
    for (const name of NAMES) {
      assert.equal(searchProducts(catalog, name)[0].name, name);
      assert.equal(searchProducts(catalog, plain(name))[0].name, name);
    }
  }
});

test('a composed and a decomposed letter are the same', () => {
  const catalog = new Catalog();
  catalog.add({ name: 'Pâté'.normalize('NFC'), priceCents: 100, category: 'delicacies' });
  assert.throws(() => catalog.add({ name: 'Pâté'.normalize('NFD'), priceCents: 100, category: 'delicacies' }), /already in the catalog/);
});
