import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatMoney } from '../../src/money.js';
import { between, seededRandom } from '../../support/random.js';

describe('formatMoney', () => {
  test('cents always have two digits', () => {
    assert.equal(formatMoney(5), '€ 0.05');
    assert.equal(formatMoney(50), '€ 0.50');
    assert.equal(formatMoney(500), '€ 5.00');
  });

  test('a minus stands before the currency', () => assert.equal(formatMoney(-123), '-€ 1.23'));

  describe('large amounts', () => {
    test('thousands are set apart', () => {
      assert.equal(formatMoney(99_999), '€ 999.99');
      assert.equal(formatMoney(100_000), '€ 1 000.00');
      assert.equal(formatMoney(123_456_789), '€ 1 234 567.89');
    });

    test('never more than three digits stand together before the point', () => {
      const random = seededRandom(2);
      for (let round = 0; round < 250_000; round += 1) {
        const text = formatMoney(between(random, 0, 2_000_000_000));
        assert.match(text, /^€ \d{1,3}(?: \d{3})*\.\d{2}$/);
      }
    });
  });
});
