import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { orderNumber, parseOrderNumber } from '../../src/order-number.js';

const digitsAt = [...'0000-000000-00'].flatMap((letter, index) => (letter === '0' ? [index] : []));
const NUMBERS = Array.from({ length: 5_000 }, (_, index) => orderNumber(2026, index * 37 + 5));

describe('a slip of the pen', () => {
  test('in one digit is noticed', () => {
    for (const number of NUMBERS) {
      for (const at of digitsAt) {
        const wrong = number.slice(0, at) + ((Number(number[at]) + 3) % 10) + number.slice(at + 1);
        assert.equal(parseOrderNumber(wrong), undefined);
      }
    }
  });

  test('that swaps two neighbours is noticed', () => {
    for (const number of NUMBERS) {
      for (const at of digitsAt.slice(0, -1)) {
        const [one, other] = number.slice(at, at + 2);
        if (other === '-' || one === other) continue;
        assert.equal(parseOrderNumber(number.slice(0, at) + other + one + number.slice(at + 2)), undefined);
      }
    }
  });

  test('in the dashes is noticed', () => assert.equal(parseOrderNumber(NUMBERS[0].replaceAll('-', '')), undefined));
});
