import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkout } from '../../src/checkout.js';
import { Stock } from '../../src/stock.js';
import { cartOf } from '../../support/shop.js';

test('of two customers who want the last jars, the one who pays first gets them', async () => {
  const stock = new Stock();
  stock.receive('strawberry-jam', 3);
  const buy = async (jars, thinkingMs) => {
    const cart = cartOf({ 'strawberry-jam': jars });
    await sleep(thinkingMs);
    const number = stock.hold({ 'strawberry-jam': jars });
    const { totalCents } = checkout(cart, { nowMs: 0 });
    stock.sell(number);
    return totalCents;
  };
  const [slow, fast] = await Promise.allSettled([buy(2, 170), buy(2, 40)]);
  assert.equal(fast.value, 850);
  assert.equal(slow.reason.message, 'only 1 of strawberry-jam left, 2 wanted');
});
