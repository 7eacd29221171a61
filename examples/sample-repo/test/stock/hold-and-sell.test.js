import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Stock } from '../../src/stock.js';
import { between, seededRandom } from '../../support/random.js';

const stockOf = (pieces) => {
  const stock = new Stock();
  for (const [id, count] of Object.entries(pieces)) stock.receive(id, count);
  return stock;
};

describe('stock', () => {
  test('that is held is no longer available, but still there', () => {
    const stock = stockOf({ apple: 10 });
    stock.hold({ apple: 4 });
    assert.equal(stock.available('apple'), 6);
    assert.equal(stock.onHand('apple'), 10);
  });

  test('that is sold is gone', () => {
    const stock = stockOf({ apple: 10 });
    stock.sell(stock.hold({ apple: 4 }));
    assert.equal(stock.onHand('apple'), 6);
    assert.equal(stock.available('apple'), 6);
  });

  describe('a hold of several products', () => {
    test('is all or nothing', () => {
      const stock = stockOf({ apple: 10, jam: 1 });
      assert.throws(() => stock.hold({ apple: 5, jam: 2 }), { message: 'only 1 of jam left, 2 wanted' });
      assert.equal(stock.available('apple'), 10);
    });

    test('can be sold only once', () => {
      const stock = stockOf({ apple: 10 });
      const number = stock.hold({ apple: 1 });
      stock.sell(number);
      assert.throws(() => stock.sell(number), /nothing is held/);
    });
  });

  test('is never promised twice', () => {
    const random = seededRandom(19);
    const stock = stockOf({ apple: 500 });
    const holds = [];
    for (let step = 0; step < 9_000; step += 1) {
      const pieces = between(random, 1, 9);
      if (stock.available('apple') >= pieces) holds.push(stock.hold({ apple: pieces }));
      else stock.release(holds.splice(between(random, 0, holds.length - 1), 1)[0]);
      assert.ok(stock.available('apple') >= 0);
    }
  });
});
