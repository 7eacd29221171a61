import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrderQueue } from '../../src/order-queue.js';

test('a job that fails tells its customer and frees its place', async () => {
  const queue = new OrderQueue(1);
  const failed = queue.add(async () => {
    await sleep(60);
    throw new Error('out of paper');
  });
  const next = queue.add(() => sleep(60, 'packed'));
  assert.equal(queue.waiting, 1);
  await assert.rejects(failed, { message: 'out of paper' });
  assert.equal(await next, 'packed');
  await queue.whenIdle();
});

test('a job that throws at once is no different', async () => {
  const queue = new OrderQueue(1);
  await assert.rejects(
    queue.add(() => {
      throw new TypeError('no such order');
    }),
    TypeError,
  );
});

test('an idle queue is idle at once', () => new OrderQueue().whenIdle());

test('the printer is out of order', { skip: 'needs the label printer of the shop' }, async () => {
  await new OrderQueue().add(() => import('label-printer'));
});
