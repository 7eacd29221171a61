import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Supplier } from '../../src/supplier.js';

test('a call without an answer is made again under the same number, then given up', async () => {
  const numbers = [];
  const silent = (order, signal) => {
    numbers.push(order.number);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const supplier = new Supplier(silent, { answerMs: 320 });
  await assert.rejects(supplier.order(77, 'apple', 1));
  assert.deepEqual(numbers, [77, 77, 77]);
});
