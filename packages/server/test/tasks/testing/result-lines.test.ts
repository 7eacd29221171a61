import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseResultLines } from '../../../src/tasks/testing/result-lines.ts';
import { inShort, outputOf } from './project-folder.ts';

const root = '/pool/w1';
const line = (value: object) => `${JSON.stringify(value)}\n`;
const told = (unit: string, name: string, outcome: string) =>
  line({ is: 'case', unit: `${root}/${unit}`, name: ['s', name], outcome, durationMs: 3 });
const over = (unit: string) => line({ is: 'unit', unit: `${root}/${unit}`, durationMs: 40 });
const read = (lines: string, exitCode: number, units = ['a', 'b'], err = '') =>
  parseResultLines(outputOf(exitCode, { 'file:root': `${root}\n`, 'file:results.jsonl': lines, err }), units);

test('lines become results in the order of the units asked for', async () => {
  const results = await read(
    told('b', 'x', 'failed') + over('b') + told('a', 'x', 'passed') + told('a', 'y', 'skipped') + over('a') + over('c'),
    1,
  );
  expect(inShort(results)).toEqual(['a: passed', '  passed s > x', '  skipped s > y', 'b: failed', '  failed s > x']);
  expect(results[0]?.durationMs).toBe(40);
});

test('a unit that nothing was told of is missing, and says how the command ended', async () => {
  const [, b] = await read(told('a', 'x', 'passed') + over('a'), 137, ['a', 'b'], 'Killed\n');
  expect(b).toMatchObject({ outcome: 'missing', message: 'it gave no result; the command ended with exit status 137:\nKilled' });
});

test('a unit that broke off is missing and keeps its cases', async () => {
  const [a] = await read(told('a', 'x', 'passed'), 1, ['a']);
  expect(a).toMatchObject({ outcome: 'missing', cases: [{ name: 's > x' }] });
});

test('an exit status that no failure explains makes every unit of the run an error', async () => {
  const results = await read(told('a', 'x', 'passed') + over('a') + over('b'), 1, ['a', 'b'], 'unhandled rejection');
  expect(results.map((result) => result.outcome)).toEqual(['error', 'error']);
  expect(results[0]?.message).toContain('unhandled rejection');
});

test('an error without a unit touches all units of the run, failed tests or not', async () => {
  const results = await read(told('a', 'x', 'failed') + over('a') + over('b') + line({ is: 'error', message: 'global teardown' }), 1);
  expect(results.map((result) => result.outcome)).toEqual(['error', 'error']);
});

test('nothing passes that was not told to have passed, whatever stands in the file', async () => {
  const whole = told('a', 'x', 'passed') + over('a') + told('b', 'y', 'failed') + over('b');
  const bytes = new TextEncoder().encode(whole);
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length), fc.uint8Array({ maxLength: 40 }), fc.nat(3), async (cut, garbage, exitCode) => {
      const content = new Uint8Array([...bytes.subarray(0, cut), ...garbage]);
      const results = await parseResultLines(outputOf(exitCode, { 'file:root': `${root}\n`, 'file:results.jsonl': content }), ['a', 'b']);
      expect(results).toHaveLength(2);
      expect(results[1]?.outcome).not.toBe('passed');
      if (results[0]?.outcome === 'passed') expect(cut).toBeGreaterThanOrEqual(whole.indexOf(told('b', 'y', 'failed')) - 1);
    }),
  );
});

test('while a run under way may run any file once more, none of its files is over', async () => {
  const begin = line({ is: 'begin', runs: 3 });
  const lines = begin + told('a', 'x', 'passed') + over('a') + told('b', 'x', 'passed') + over('b');
  expect((await read(lines, 137)).map((result) => result.outcome)).toEqual(['missing', 'missing']);
  expect((await read(lines + over('a'), 0)).map((result) => result.outcome)).toEqual(['passed', 'passed']);
  expect((await read(lines + line({ is: 'end' }), 0)).map((result) => result.outcome)).toEqual(['passed', 'passed']);
  const once = line({ is: 'begin', runs: 2 }) + told('a', 'x', 'passed') + over('a');
  expect((await read(once, 137)).map((result) => result.outcome)).toEqual(['passed', 'missing']);
});

test('JSON of the wrong shape is passed over', async () => {
  const shapes = [
    line({ is: 'case', unit: `${root}/a`, name: 'x', outcome: 'passed' }),
    line({ is: 'case', unit: `${root}/a`, name: [], outcome: 'great' }),
    'null\n',
    '[]\n',
    line({ is: 'unit' }),
  ];
  expect(inShort(await read(shapes.join(''), 0, ['a']))).toEqual(['a: missing']);
});

test('a message is kept within bounds and without terminal colours', async () => {
  const [a] = await read(line({ is: 'error', unit: 'a', message: `\u001b[31mred\u001b[39m ${'x'.repeat(100_000)} end` }), 1, ['a']);
  expect(a?.message?.length).toBeLessThan(17_000);
  expect(a?.message).toMatch(/^red x+\n… \d+ characters left out …\nx+ end$/);
});
