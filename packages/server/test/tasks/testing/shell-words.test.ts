import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { quotePath, quoteWord, splitShell } from '../../../src/tasks/testing/shell-words.ts';

const hostile = ['a b\'c"$(x)\n-ü.test.js', '-rf', '', '~', '*', '#x', '!!', '\\', '`id`', "''", '\t', '$HOME', 'a=b', '{a,b}', '日本'];

test('every text comes through /bin/sh as one unchanged word', () => {
  const samples = fc.sample(
    fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    { numRuns: 300, seed: 7 },
  );
  const words = [...hostile, ...samples];
  const { stdout } = spawnSync('/bin/sh', ['-c', `printf '%s\\0' ${words.map(quoteWord).join(' ')}`], { encoding: 'utf8' });
  expect(stdout.split('\0').slice(0, -1)).toEqual(words.map((word) => word.toWellFormed()));
});

test('a path that begins with a dash is no option', () => {
  expect(quotePath('-v.test.js')).toBe('./-v.test.js');
});

test('a script falls into its commands and words', () => {
  const commands = splitShell(`npm run build && A="x y" mocha 'test/**/*.js' --grep "a \\"b\\"" 2>&1 | tee log; echo it\\'s`);
  expect(commands.map(({ operator, words }) => [operator, ...words.map((word) => word.text)])).toEqual([
    ['', 'npm', 'run', 'build'],
    ['&&', 'A=x y', 'mocha', 'test/**/*.js', '--grep', 'a "b"', '2>&1'],
    ['|', 'tee', 'log'],
    [';', 'echo', "it's"],
  ]);
});

test('a wildcard is the shell’s only without quotes', () => {
  const [command] = splitShell(`node --test test/*.js 'test/*.ts' "lib/*.js"`);
  expect(command?.words.map((word) => word.wildcard)).toEqual([false, false, true, false, false]);
});

test('a quote without an end is taken to the end of the line', () => {
  fc.assert(fc.property(fc.string(), (line) => void splitShell(line)));
  expect(splitShell(`echo "a b`)[0]?.words.map((word) => word.text)).toEqual(['echo', 'a b']);
});
