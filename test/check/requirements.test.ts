import { expect, test } from 'vitest';
import { checkRequirements, citedRequirements } from '../../scripts/check/requirements.ts';
import { givenTree } from './support/tree.ts';

test('an id that no requirement has is told, whatever the form of the test; text in brackets elsewhere is no citation', () => {
  const root = givenTree({
    'test/a.test.ts': [
      "test('one [W7]', run);",
      'test.runIf(user() === 0)(',
      '  "two, it\'s said [W7] [W99]",',
      '  run);',
      "describe('three [Z1]', () => {});",
      "test('[Q9] and [1] mean nothing here', run);",
    ],
    'packages/one/test/b.test.ts': ["test.skipIf(noSshd)(`four [T9]`, () => expect('five [W98]').toBe(''));"],
    'src/c.ts': ["test('six [W97]', run);"],
  });
  expect(checkRequirements(root)).toEqual([
    'test/a.test.ts:3: the test cites W99, which is not in test/requirements.ts',
    'test/a.test.ts:5: the test cites Z1, which is not in test/requirements.ts',
  ]);
  expect(citedRequirements(root).cited).toEqual(['W7', 'T9']);
});
