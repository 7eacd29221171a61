import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editText } from '../../src/edit/edit-text.ts';

// Few words and much white space, so that texts are found exactly, loosely, several times, and not at all.
const word = fc.constantFrom('a', 'b', 'go();', 'x = 1', '}', 'é', '\u2019', '\u00a0');
const indentation = fc.constantFrom('', ' ', '  ', '    ', '\t', '\t\t', ' \t');
const trailing = fc.constantFrom('', '', '', ' ', '\t');
const line = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(indentation, fc.array(word, { maxLength: 2 }), trailing)
      .map(([before, words, after]) => before + words.join(' ') + after),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 5 }) },
);
const text = (lineEnd: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .array(fc.tuple(line, lineEnd), { maxLength: 8 })
    .chain((lines) =>
      fc
        .boolean()
        .map((isEnded) => lines.map(([content, end], index) => content + (isEnded || index < lines.length - 1 ? end : '')).join('')),
    );
const file = fc.oneof(
  text(fc.constant('\n')),
  text(fc.constant('\r\n')),
  text(fc.constantFrom('\n', '\r\n')),
  text(fc.constant('\n')).map((content) => `\uFEFF${content}`),
);

/** A piece of the file, as a model might give it back: exact, or with its white space changed; or something else. */
const asked = (content: string): fc.Arbitrary<string> =>
  fc.oneof(
    fc
      .tuple(fc.nat(content.length), fc.nat(content.length))
      .map(([one, other]) => content.slice(Math.min(one, other), Math.max(one, other))),
    fc.tuple(fc.nat(content.length), fc.nat(content.length)).map(([one, other]) =>
      content
        .slice(Math.min(one, other), Math.max(one, other))
        .replaceAll('\r\n', '\n')
        .replace(/^[ \t]+/gm, (before) => before.slice(1)),
    ),
    text(fc.constant('\n')),
  );

const edits = file.chain((content) => fc.tuple(fc.constant(content), asked(content), text(fc.constant('\n'))));

const bareLines = (content: string): string[] =>
  content
    .replaceAll('\r\n', '\n')
    .split('\n')
    .map((one) => one.replace(/^[ \t]+|[ \t\r]+$/g, ''));
/** A text without the white space around its lines, and without a last line end. */
const bare = (content: string): string => bareLines(content).join('\n').replace(/\n$/, '');
const placesOfLines = (content: string, old: string): number => {
  const wanted = bareLines(old.replace(/\r?\n$/, ''));
  const lines = bareLines(content.replace(/^\uFEFF/, ''));
  return lines.filter((_, at) => wanted.every((one, index) => lines[at + index] === one)).length;
};
const placesOf = (content: string, old: string): number => content.split('').filter((_, at) => content.startsWith(old, at)).length;

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
        const { start, end } = result.replaced;
        const rest = before.subarray(end);
        expect(Buffer.compare(after.subarray(0, start), before.subarray(0, start))).toBe(0);
        expect(Buffer.compare(after.subarray(after.length - rest.length), rest)).toBe(0);
        const place = before.subarray(start, end).toString();
        const written = after.subarray(start, after.length - rest.length).toString();
        if (result.strategy === 'exact') {
          expect(place).toBe(old);
          expect(before.indexOf(old, before.indexOf(old) + 1)).toBe(-1);
          expect([replacement, replacement.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n')]).toContain(written);
          return;
        }
        loose++;
        expect(bare(place)).toBe(bare(old));
        expect(bare(written)).toBe(bare(replacement));
        // Whole lines that are so are nowhere else, or the asked text is there but for its line ends, once.
        expect(
          Math.min(placesOfLines(content, old), placesOf(content.replaceAll('\r\n', '\n'), old.replaceAll('\r\n', '\n'))),
        ).toBeLessThanOrEqual(1);
      }),
      { numRuns: 3_000 },
    );
    expect(edited).toBeGreaterThan(100);
    expect(loose).toBeGreaterThan(5);
  }, 120_000);

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
