import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCsv } from '../../src/csv.js';

test('quoted cells may hold separators, quotes and line ends', () => {
  assert.deepEqual(parseCsv('name,note\n"Jam, red","said ""hi""\nand left"\n'), [
    ['name', 'note'],
    ['Jam, red', 'said "hi"\nand left'],
  ]);
});

test('a quote that is never closed is told with its line', () => {
  assert.throws(() => parseCsv('a,b\nc,"d\ne,f\n'), { message: 'the quote opened on line 2 is never closed' });
});

test('a quote inside of a cell is a letter like any other', () => assert.deepEqual(parseCsv('5" pipe,1'), [['5" pipe', '1']]));

test('many quoted rows keep their cells', () => {
  const rows = parseCsv('"a ""quoted"" name","1,50"\n'.repeat(70_000));
  assert.equal(rows.length, 70_000);
  for (const row of rows) assert.deepEqual(row, ['a "quoted" name', '1,50']);
});
