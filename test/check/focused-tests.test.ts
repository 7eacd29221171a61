import { expect, test } from 'vitest';
import { checkFocusedTests } from '../../scripts/check/focused-tests.ts';
import { givenTree } from './support/tree.ts';

test('a test that is singled out is told, a mention of it is not', () => {
  const root = givenTree({
    'test/a.test.ts': ['test("one", () => {});', '  test.only("two", () => {});', 'describe.concurrent.only("three", () => {});'],
    'test/b.test.js': ['await it.only("four", run);', '// never test.only here', 'expect(source).not.toMatch("test.only(");'],
  });
  expect(checkFocusedTests(root)).toEqual([
    'test/a.test.ts:2: test.only keeps the other tests from running',
    'test/a.test.ts:3: describe.concurrent.only keeps the other tests from running',
    'test/b.test.js:1: it.only keeps the other tests from running',
  ]);
});
