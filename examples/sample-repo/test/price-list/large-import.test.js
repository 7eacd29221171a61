import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '../../src/catalog.js';
import { writeCsv } from '../../src/csv.js';
import { importPriceList } from '../../src/price-list.js';
import { between, seededRandom } from '../../support/random.js';

const random = seededRandom(26);
const rows = Array.from({ length: 120_000 }, (_, number) => [
  `Article ${number}, "box of ${between(random, 2, 48)}"`,
  `${between(random, 0, 99)}.${String(between(random, 0, 99)).padStart(2, '0')}`,
  'wholesale',
]);
const list = writeCsv([['name', 'price', 'category'], ...rows], ';');

test('the whole list of the wholesaler is taken over', () => {
  const catalog = new Catalog();
  assert.deepEqual(importPriceList(catalog, list, { separator: ';' }), { added: 120_000, repriced: 0, unchanged: 0, problems: [] });
  assert.equal(catalog.size, 120_000);
});

test('and again the week after, when one price in ten has changed', () => {
  const catalog = new Catalog();
  importPriceList(catalog, list, { separator: ';' });
  const changed = rows.map(([name, price, category], index) => [name, index % 10 === 0 ? `1${price}` : price, category]);
  const report = importPriceList(catalog, writeCsv([['name', 'price', 'category'], ...changed], ';'), { separator: ';' });
  assert.deepEqual(report, { added: 0, repriced: 12_000, unchanged: 108_000, problems: [] });
});
