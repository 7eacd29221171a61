import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderNumber, parseOrderNumber } from '../../src/order-number.js';

test('a number is readable and complete', () => {
  assert.match(orderNumber(2026, 123), /^2026-000123-\d{2}$/);
});

test('every order of a busy year is found by its number', () => {
  for (let running = 1; running <= 150_000; running += 1) {
    assert.equal(parseOrderNumber(orderNumber(2026, running)).running, running);
  }
});
