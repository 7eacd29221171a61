import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCsv, writeCsv } from '../../src/csv.js';
import { between, pick, seededRandom } from '../../support/random.js';

test('what is written is read back, whatever the cells hold', () => {
  const random = seededRandom(25);
  const letters = ['a', 'ž', '🍎', '"', ',', ';', '\n', ' ', '\r'];
  for (let round = 0; round < 5_000; round += 1) {
    const cell = () => Array.from({ length: between(random, 0, 6) }, () => pick(random, letters)).join('');
    const rows = Array.from({ length: between(random, 1, 6) }, () => Array.from({ length: 3 }, cell));
    const separator = pick(random, [',', ';']);
    assert.deepEqual(parseCsv(writeCsv(rows, separator), separator), rows);
  }
});
