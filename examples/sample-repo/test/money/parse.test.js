import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMoney, parseMoney } from '../../src/money.js';
import { between, seededRandom } from '../../support/random.js';

test('amounts are read with and without cents, sign and currency', () => {
  assert.equal(parseMoney('12.34'), 1234);
  assert.equal(parseMoney('12.3'), 1230);
  assert.equal(parseMoney('€ 5'), 500);
  assert.equal(parseMoney('-0.07'), -7);
  assert.equal(parseMoney('1 234 567.89'), 123_456_789);
});

test('what is not an amount is refused by name', () => {
  for (const text of ['', '12,34', '1.234', '12 34', 'five', '€'])
    assert.throws(() => parseMoney(text), { message: `"${text}" is not an amount of money` });
});

test('every printed amount is read back as the same cents', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 200_000; round += 1) {
    const cents = between(random, -5_000_000, 5_000_000);
    assert.equal(parseMoney(formatMoney(cents)), cents);
  }
});
