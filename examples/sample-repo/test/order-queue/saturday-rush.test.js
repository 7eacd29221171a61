import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrderQueue } from '../../src/order-queue.js';
import { between, seededRandom } from '../../support/random.js';

test('three packers get through a Saturday: every order is packed once, never more than three at a time', async () => {
  const random = seededRandom(31);
  const queue = new OrderQueue(3);
  const packed = [];
  let packing = 0;
  let mostPacking = 0;
  for (let number = 0; number < 60; number += 1) {
    const packingMs = between(random, 60, 180);
    void queue.add(async () => {
      packing += 1;
      mostPacking = Math.max(mostPacking, packing);
      await sleep(packingMs);
      packing -= 1;
      packed.push(number);
    });
  }
  await queue.whenIdle();
  assert.equal(mostPacking, 3);
  assert.deepEqual(
    packed.toSorted((a, b) => a - b),
    Array.from({ length: 60 }, (_, number) => number),
  );
});
