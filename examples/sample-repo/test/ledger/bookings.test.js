import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../src/ledger.js';

test('a booking that does not add up is refused and leaves no trace', () => {
  const ledger = new Ledger();
  assert.throws(() => ledger.book('till', { cash: 1_210, sales: -1_000, vat: -200 }), { message: '"till" is out of balance by 10 cents' });
  assert.deepEqual(ledger.bookings(), []);
  assert.equal(ledger.balance('cash'), 0);
});

test('a reversal brings every account back, and stays visible', () => {
  const ledger = new Ledger();
  const number = ledger.book('till', { cash: 1_210, sales: -1_000, vat: -210 });
  ledger.reverse(number);
  assert.equal(ledger.balance('cash'), 0);
  assert.deepEqual(
    ledger.bookings().map((booking) => booking.text),
    ['till', 'reversal of 1: till'],
  );
});

test('what was handed out cannot change the books', () => {
  const ledger = new Ledger();
  for (let count = 0; count < 120_000; count += 1) ledger.book('till', { cash: 1, sales: -1 });
  ledger.bookings().length = 0;
  assert.equal(ledger.bookings().length, 120_000);
  assert.throws(() => Object.assign(ledger.bookings()[0].entries, { cash: 99 }), TypeError);
});
