import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Supplier } from '../../src/supplier.js';

test('thirty orders on a slow day are all confirmed, at the pace the supplier allows', async () => {
  let underWay = 0;
  let mostUnderWay = 0;
  const supplier = new Supplier(
    async (order) => {
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      await sleep(180);
      underWay -= 1;
      return order.number;
    },
    { callsPerWindow: 6, windowMs: 600, answerMs: 10_000 },
  );
  const orders = Array.from({ length: 30 }, (_, number) => ({ number, productId: 'apple', pieces: 1 }));
  const { confirmed, refused } = await supplier.orderAll(orders);
  assert.deepEqual(
    confirmed,
    orders.map((order) => order.number),
  );
  assert.deepEqual(refused, []);
  assert.ok(mostUnderWay <= 12);
});
