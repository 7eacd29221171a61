import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importPriceList } from '../../src/price-list.js';
import { smallCatalog } from '../../support/shop.js';

test('new products are added, known ones repriced, the same ones left alone', () => {
  const catalog = smallCatalog();
  const report = importPriceList(catalog, 'Category,Name,Price\nfruit,Apple,0.75\nfruit,Pear,0.80\nbakery,Rye bread,3.49\n');
  assert.deepEqual(report, { added: 1, repriced: 1, unchanged: 1, problems: [] });
  assert.equal(catalog.get('apple').priceCents, 75);
  assert.equal(catalog.get('pear').category, 'fruit');
});

test('bad rows are named and skipped', () => {
  const report = importPriceList(smallCatalog(), 'name,price,category\nPear,cheap,fruit\n,1.00,fruit\nPlum,0.40,fruit\n');
  assert.deepEqual(report.problems, ['row 2: "cheap" is not an amount of money', 'row 3: a product needs a name']);
  assert.equal(report.added, 1);
});

test('importing the same list again changes nothing', () => {
  const catalog = smallCatalog();
  const list = `name,price,category\n${Array.from({ length: 30_000 }, (_, number) => `Thing ${number},1.00,misc\n`).join('')}`;
  assert.equal(importPriceList(catalog, list).added, 30_000);
  assert.equal(importPriceList(catalog, list).unchanged, 30_000);
});
