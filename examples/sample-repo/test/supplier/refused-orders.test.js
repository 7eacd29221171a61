import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Supplier } from '../../src/supplier.js';

test('an order for an unknown product is refused once, the others go through', async () => {
  const sent = [];
  const supplier = new Supplier(async ({ number, productId }) => {
    sent.push(number);
    await sleep(60);
    if (productId === 'caviar') throw new RangeError('we do not sell caviar');
    return number;
  });
  const answer = await supplier.orderAll([
    { number: 1, productId: 'apple', pieces: 10 },
    { number: 2, productId: 'caviar', pieces: 1 },
    { number: 3, productId: 'jam', pieces: 5 },
  ]);
  assert.deepEqual(answer, { confirmed: [1, 3], refused: [{ number: 2, reason: 'we do not sell caviar' }] });
  assert.deepEqual(sent, [1, 2, 3]);
});
