import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editText } from '../../src/edit/edit-text.ts';
import { linesOf } from '../../src/edit/file-text.ts';

// Few words and much white space, so that texts are found exactly, loosely, several times, and not at all.
const word = fc.constantFrom('a', 'b', 'go();', 'x = 1', '}', 'é', '\u2019', '\u00a0');
const indentation = fc.constantFrom('', ' ', '  ', '    ', '\t', '\t\t', ' \t');
const trailing = fc.constantFrom('', '', '', ' ', '\t');
const line = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(indentation, fc.array(word, { maxLength: 2 }), trailing).map(([before, words, after]) => before + words.join(' ') + after) },
  { weight: 1, arbitrary: fc.string({ maxLength: 5 }) },
);
const text = (lineEnd: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(fc.tuple(line, lineEnd), { maxLength: 8 }).chain((lines) => fc.boolean().map((isEnded) => lines.map(([content, end], index) => content + (isEnded || index < lines.length - 1 ? end : '')).join('')));
const file = fc.oneof(text(fc.constant('\n')), text(fc.constant('\r\n')), text(fc.constantFrom('\n', '\r\n')), text(fc.constant('\n')).map((content) => `\uFEFF${content}`));

/** A piece of the file, as a model might give it back: exact, or with its white space changed; or something else. */
const asked = (content: string): fc.Arbitrary<string> =>
  fc.oneof(
    fc.tuple(fc.nat(content.length), fc.nat(content.length)).map(([one, other]) => content.slice(Math.min(one, other), Math.max(one, other))),
    fc.tuple(fc.nat(content.length), fc.nat(content.length)).map(([one, other]) =>
      content
        .slice(Math.min(one, other), Math.max(one, other))
        .replaceAll('\r\n', '\n')
        .replace(/^[ \t]+/gm, (before) => before.slice(1)),
    ),
    text(fc.constant('\n')),
  );

const edits = file.chain((content) => fc.tuple(fc.constant(content), asked(content), text(fc.constant('\n'))));

const trimmed = (content: string): string[] => content.replaceAll('\r\n', '\n').split('\n').map((one) => one.replace(/^[ \t]+|[ \t]+$/g, ''));

describe('for any file and any edit', () => {
  test('bytes outside of one place stay; what that place held is what was asked for, but for white space; a refusal changes nothing', () => {
    let edited = 0;
    let loose = 0;
    fc.assert(
      fc.property(edits, ([content, old, replacement]) => {
        const before = Buffer.from(content);
        const kept = Buffer.from(before);
        const result = editText(before, old, replacement);

        expect(Buffer.compare(before, kept)).toBe(0);
        if (!result.isEdited) {
          expect(result.problem).not.toBe('');
          return;
        }
        edited++;
        const after = Buffer.from(result.bytes);
        if (result.strategy === 'exact') {
          // The one way to do it by hand.
          const start = before.indexOf(old);
          expect(before.indexOf(old, start + 1)).toBe(-1);
          const rest = before.subarray(start + Buffer.byteLength(old));
          expect(Buffer.compare(after.subarray(0, start), before.subarray(0, start))).toBe(0);
          expect(Buffer.compare(after.subarray(after.length - rest.length), rest)).toBe(0);
          const written = after.subarray(start, after.length - rest.length).toString();
          expect([replacement, replacement.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n')]).toContain(written);
          return;
        }
        loose++;
        // Not there byte for byte; and there is exactly one way to cut a piece out so that it is the asked text but for white space and line ends.
        const prefix = commonPrefix(before, after);
        const suffix = commonSuffix(before, after, prefix);
        const place = before.subarray(prefix, before.length - suffix).toString();
        for (const changed of trimmed(place)) expect(trimmed(old).join('\n')).toContain(changed);
        expect(linesOf(after).length).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 3_000 },
    );
    expect(edited).toBeGreaterThan(300);
    expect(loose).toBeGreaterThan(30);
  });

  test('what was replaced can be replaced back, where the new text is in no other place', () => {
    fc.assert(
      fc.property(edits, ([content, old]) => {
        const unique = 'THE_ONLY_ONE';
        const there = editText(Buffer.from(content), old, unique);
        if (!there.isEdited || there.strategy !== 'exact') return;
        const back = editText(there.bytes, unique, old);
        expect(back.isEdited && Buffer.from(back.bytes).toString().replaceAll('\r\n', '\n')).toBe(content.replaceAll('\r\n', '\n'));
      }),
      { numRuns: 1_000 },
    );
  });
});

function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function commonSuffix(a: Uint8Array, b: Uint8Array, prefix: number): number {
  let length = 0;
  while (length < a.length - prefix && length < b.length - prefix && a[a.length - 1 - length] === b[b.length - 1 - length]) length++;
  return length;
}
