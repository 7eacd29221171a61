import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '../../src/catalog.js';
import { importPriceList } from '../../src/price-list.js';

test('columns are found by name, in any order and case', () => {
  for (const header of ['name,price,category', ' NAME , Price,CATEGORY'])
    assert.equal(importPriceList(new Catalog(), `${header}\nPear,1.00,fruit\n`).added, 1);
});

test('a missing column is named', () => {
  assert.throws(() => importPriceList(new Catalog(), 'name,category\n'), { message: 'the list has no column "price"' });
  assert.throws(() => importPriceList(new Catalog(), ''), { message: 'the list has no column "name"' });
});

test('columns we do not need are passed over', () => {
  const wide = Array.from({ length: 400 }, (_, number) => `extra${number}`).join();
  const list = `${wide},name,price,category\n${`${wide},Pear,1.00,fruit\n`.repeat(700)}`;
  assert.deepEqual(importPriceList(new Catalog(), list), { added: 1, repriced: 0, unchanged: 699, problems: [] });
});
