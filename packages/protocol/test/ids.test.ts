import { isId, newId } from '@helixcode/protocol/ids';
import { expect, test } from 'vitest';

test('ids made one after the other sort in that order, also within a millisecond', () => {
  const ids = Array.from({ length: 5_000 }, (_, n) => newId('task', 1_700_000_000_000 + Math.floor(n / 2_000)));
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => isId('task', id))).toBe(true);
});

test('ids of two processes differ in the same millisecond', () => {
  const one = newId('task', 1);
  newId('task', 2);
  const other = newId('task', 1);
  expect(one.slice(0, 13)).toBe(other.slice(0, 13));
  expect(one).not.toBe(other);
});
