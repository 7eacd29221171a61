import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { editDistance } from '../../src/text.js';
import { between, seededRandom } from '../../support/random.js';

const wordOf = (random) => Array.from({ length: between(random, 0, 9) }, () => 'abcd'[between(random, 0, 3)]).join('');

describe('the edit distance', () => {
  test('counts inserted, removed and replaced letters', () => {
    assert.equal(editDistance('bread', 'bread'), 0);
    assert.equal(editDistance('bread', 'bred'), 1);
    assert.equal(editDistance('kitten', 'sitting'), 3);
    assert.equal(editDistance('', 'jam'), 3);
  });

  describe('for any words', () => {
    test('is the same in both directions', () => {
      const random = seededRandom(8);
      for (let round = 0; round < 12_000; round += 1) {
        const [one, other] = [wordOf(random), wordOf(random)];
        assert.equal(editDistance(one, other), editDistance(other, one));
      }
    });

    test('is never longer by way of a third word', () => {
      const random = seededRandom(9);
      for (let round = 0; round < 10_000; round += 1) {
        const [one, way, other] = [wordOf(random), wordOf(random), wordOf(random)];
        assert.ok(editDistance(one, other) <= editDistance(one, way) + editDistance(way, other));
      }
    });
  });
});
