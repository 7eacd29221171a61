import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stock } from '../../src/stock.js';

test('what a customer leaves in the cart for too long is available again', async () => {
  const stock = new Stock();
  stock.receive('apple', 3);
  const number = stock.hold({ apple: 3 });
  const expiry = sleep(150).then(() => stock.release(number));
  assert.equal(stock.available('apple'), 0);
  assert.equal(await expiry, true);
  assert.equal(stock.available('apple'), 3);
});

test('releasing twice does nothing the second time', () => {
  const stock = new Stock();
  stock.receive('apple', 3);
  const number = stock.hold({ apple: 3 });
  stock.release(number);
  assert.equal(stock.release(number), false);
  assert.equal(stock.available('apple'), 3);
});
