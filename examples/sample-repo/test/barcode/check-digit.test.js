import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDigit, isBarcode } from '../../src/barcode.js';
import { between, seededRandom } from '../../support/random.js';

test('known articles have the digit that is printed on them', () => {
  assert.equal(checkDigit('400638133393'), 1);
  assert.equal(checkDigit('978020137962'), 4);
});

test('a wrong number of digits is refused', () => {
  assert.throws(() => checkDigit('12345'), /twelve digits/);
  assert.equal(isBarcode('12345'), false);
});

test('any single wrong digit is noticed', () => {
  const random = seededRandom(10);
  for (let round = 0; round < 11_000; round += 1) {
    const body = String(between(random, 0, 999_999_999_999)).padStart(12, '0');
    const code = body + checkDigit(body);
    assert.ok(isBarcode(code));
    const at = between(random, 0, 12);
    for (let digit = 0; digit <= 9; digit += 1) {
      if (String(digit) !== code[at]) assert.ok(!isBarcode(code.slice(0, at) + digit + code.slice(at + 1)));
    }
  }
});
