import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCsv } from '../../src/csv.js';

const rows = [
  ['a', 'b'],
  ['c', ''],
];

test('Windows, Unix and missing last line ends mean the same', () => {
  for (const text of ['a,b\nc,\n', 'a,b\r\nc,\r\n', 'a,b\nc,']) assert.deepEqual(parseCsv(text), rows);
});

test('empty lines are no rows', () => {
  assert.deepEqual(parseCsv(''), []);
  assert.deepEqual(parseCsv('\n'.repeat(3_000_000)), []);
});
