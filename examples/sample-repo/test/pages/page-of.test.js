import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pageOf } from '../../src/pages.js';

const numbers = (count) => Array.from({ length: count }, (_, index) => index + 1);

describe('pages', () => {
  test('the last one may be short', () => {
    assert.deepEqual(pageOf(numbers(45), { page: 3 }).items, [41, 42, 43, 44, 45]);
    assert.equal(pageOf(numbers(45), { page: 3 }).hasNext, false);
  });

  test('a full last page is not followed by an empty one', () => {
    assert.equal(pageOf(numbers(40), { page: 2 }).hasNext, false);
    assert.throws(() => pageOf(numbers(40), { page: 3 }), { message: 'there is no page 3 of 2' });
  });

  test('nothing is one empty page', () => {
    assert.deepEqual(pageOf([]), { items: [], page: 1, pages: 1, total: 0, hasNext: false, hasPrevious: false });
  });

  test('going through all pages shows every item once', () => {
    for (let count = 1; count <= 600; count += 1) {
      const all = numbers(count);
      for (const size of [1, 7, 20]) {
        const seen = [];
        for (let page = 1; page <= Math.ceil(count / size); page += 1) seen.push(...pageOf(all, { page, size }).items);
        assert.deepEqual(seen, all);
      }
    }
  });
});
