import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BULK_TIERS, bulkPercent, bulkPrice } from '../../src/discount.js';

describe('the bulk discount', () => {
  test('is nothing for a few pieces', () => {
    for (const quantity of [0, 1, 5]) assert.equal(bulkPercent(quantity), 0);
  });

  test('grows from tier to tier', () => {
    assert.equal(bulkPercent(9), 5);
    assert.equal(bulkPercent(20), 10);
    assert.equal(bulkPercent(100), 15);
  });

  test('never makes one more piece reduce the percentage', () => {
    for (let quantity = 1; quantity < 300_000; quantity += 1) assert.ok(bulkPercent(quantity) >= bulkPercent(quantity - 1));
  });

  describe('on the price', () => {
    test('is taken off all pieces together, rounded once', () => {
      assert.equal(bulkPrice(425, 20), 7_650);
      assert.equal(bulkPrice(333, 7), 2_214);
    });

    test('does not depend on the order of the tiers', () => {
      for (let quantity = 0; quantity < 100_000; quantity += 1)
        assert.equal(bulkPrice(199, quantity, [...BULK_TIERS].reverse()), bulkPrice(199, quantity));
    });
  });
});
