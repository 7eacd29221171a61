import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findLocation } from '../../../src/tasks/testing/find-location.ts';

const root = '/home/u/pool/w1';

describe('the line of a failure is found in the stack', () => {
  test.each<[string, string, string, { file: string; line: number } | undefined]>([
    [
      'of V8',
      'test/a.test.ts',
      `Error: x\n    at check (${root}/src/check.ts:7:3)\n    at ${root}/test/a.test.ts:12:5\n    at run (node:internal/a:1:1)`,
      { file: 'test/a.test.ts', line: 12 },
    ],
    [
      'of V8, with a URL and a space',
      'te st/a.js',
      `Error: x\n    at async file://${root}/te%20st/a.js:3:1`,
      { file: 'te st/a.js', line: 3 },
    ],
    [
      'outside the unit, when no frame is in it',
      'test/a.test.ts',
      `at x (${root}/node_modules/y/z.js:1:1)\n  at f (${root}/src/f.ts:9:1)`,
      { file: 'src/f.ts', line: 9 },
    ],
    ['of vitest', 'test/a.test.ts', 'AssertionError: no\n ❯ test/a.test.ts:4:15', { file: 'test/a.test.ts', line: 4 }],
    [
      'of jest',
      'test/a.test.js',
      `Error\n    at Object.<anonymous> (test/a.test.js:3:10)\n    at Promise.then.completed (${root}/node_modules/jest-circus/x.js:1:1)`,
      { file: 'test/a.test.js', line: 3 },
    ],
    [
      'of Python',
      'tests/test_a.py',
      `Traceback (most recent call last):\n  File "${root}/tests/test_a.py", line 3, in test_x\n    f()\n  File "${root}/src/f.py", line 8, in f\nValueError`,
      { file: 'tests/test_a.py', line: 3 },
    ],
    [
      'of pytest, the innermost',
      'tests/test_a.py',
      'tests/test_a.py:5: in test_x\n    helper()\ntests/test_a.py:2: ValueError',
      { file: 'tests/test_a.py', line: 2 },
    ],
    ['of Go, by bare name', 'pkg/a', '    a_test.go:12: want 1', { file: 'pkg/a/a_test.go', line: 12 }],
    [
      'of a Go panic',
      'pkg/a',
      `panic: boom\n\ngoroutine 1 [running]:\ntesting.tRunner()\n\t/usr/local/go/src/testing/testing.go:1446 +0x1\na.F()\n\t${root}/pkg/a/a.go:4 +0x2`,
      { file: 'pkg/a/a.go', line: 4 },
    ],
    ['of Rust', 'c/lib', "thread 'tests::bad' panicked at src/lib.rs:11:42:\nassertion failed", { file: 'src/lib.rs', line: 11 }],
    ['of Rust before 1.73', 'c/lib', "thread 't' panicked at 'not equal', src/lib.rs:11:42", { file: 'src/lib.rs', line: 11 }],
    ['nowhere, when all frames are foreign', 'test/a.test.ts', 'at f (node:internal/x:1:1)\n at g (/usr/lib/y.js:1:1)', undefined],
    ['nowhere in a text without frames', 'test/a.test.ts', 'at 12:30 we met (twice)', undefined],
  ])('%s', (_name, unit, stack, place) => {
    expect(findLocation(stack, { root, unit })).toEqual(place);
  });
});

test('any text is searched without an error, and never gives a path outside the root', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(' at ', '(', '../', '/etc/x.js:1:1', 'File "', '", line 3', ':9', '.py:1:', '\n', 'x.go:3'),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const place = findLocation(pieces.join(''), { root, unit: 'a' });
      expect(place === undefined || (!place.file.startsWith('/') && !place.file.startsWith('..') && place.line > 0)).toBe(true);
    }),
  );
});

test('a long text without a frame is searched quickly', () => {
  const before = performance.now();
  for (const text of ['(', '@', 'at ', '\n', 'a', '"', ' at (', 'panicked at '])
    findLocation(text.repeat(16_000 / text.length), { root, unit: 'a' });
  expect(performance.now() - before).toBeLessThan(2_000);
});
