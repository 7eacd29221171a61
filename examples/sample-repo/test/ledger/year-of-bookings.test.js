import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../src/ledger.js';
import { allocate } from '../../src/money.js';
import { addVat } from '../../src/vat.js';
import { between, pick, seededRandom } from '../../support/random.js';

test('after a year of sales, refunds and payments the accounts still add up to nothing', () => {
  const random = seededRandom(27);
  const ledger = new Ledger();
  const accounts = ['cash', 'card', 'voucher'];
  for (let sale = 0; sale < 400_000; sale += 1) {
    const netCents = between(random, 50, 20_000);
    const grossCents = addVat(netCents, pick(random, ['standard', 'reduced']));
    const [first, second] = allocate(grossCents, [between(random, 1, 9), between(random, 1, 9)]);
    const [one, other] = [pick(random, accounts), 'bank'];
    const number = ledger.book(`sale ${sale}`, { [one]: first, [other]: second, sales: -netCents, vat: netCents - grossCents });
    if (sale % 40 === 0) ledger.reverse(number);
  }
  assert.equal(ledger.trialBalance(), 0);
  assert.equal(ledger.bookings().length, 410_000);
});
