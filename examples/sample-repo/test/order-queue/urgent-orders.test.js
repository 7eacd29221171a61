import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrderQueue } from '../../src/order-queue.js';

test('urgent orders go before the others, and keep their own order', async () => {
  const queue = new OrderQueue(1);
  const done = [];
  const job = (name) => async () => {
    await sleep(30);
    done.push(name);
  };
  for (const name of ['first', 'second', 'third']) void queue.add(job(name));
  for (const name of ['urgent', 'also urgent']) void queue.add(job(name), { isUrgent: true });
  await queue.whenIdle();
  assert.deepEqual(done, ['first', 'urgent', 'also urgent', 'second', 'third']);
});
