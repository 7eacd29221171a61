import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cart } from '../../src/cart.js';
import { Catalog } from '../../src/catalog.js';
import { checkout } from '../../src/checkout.js';
import { printReceipt } from '../../src/receipt.js';

test('a long name gives way to its price', () => {
  const catalog = new Catalog();
  const { id } = catalog.add({ name: 'Hand-picked organic blackcurrant preserve', priceCents: 1_299, category: 'jars' });
  const [first] = printReceipt(checkout(new Cart(catalog).add(id), { nowMs: 0 }), 24).split('\n');
  assert.equal(first, '1 × Hand-picked… € 12.99');
});

test('names of every length fit', () => {
  for (let length = 1; length <= 2_500; length += 1) {
    const catalog = new Catalog();
    const { id } = catalog.add({ name: 'x'.repeat(length), priceCents: 5, category: 'misc' });
    const [first] = printReceipt(checkout(new Cart(catalog).add(id), { nowMs: 0 }), 40).split('\n');
    assert.equal(first.length, 40);
  }
});
