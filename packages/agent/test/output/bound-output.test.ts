import { describe, expect, test } from 'vitest';
import { boundOutput, boundText, cutLine, HEAD_BYTES, OUTPUT_BYTES, OUTPUT_LINES, TAIL_BYTES } from '../../src/output/bound-output.ts';
import { stripControl } from '../../src/output/strip-control.ts';
import { repeatedPiece, stuckIn, traceOf } from '../../src/stuck.ts';

const captured = (text: string | Uint8Array) => {
  const bytes = Buffer.from(text);
  return {
    head: bytes.subarray(0, HEAD_BYTES),
    tail: bytes.length > HEAD_BYTES ? bytes.subarray(Math.max(HEAD_BYTES, bytes.length - TAIL_BYTES)) : new Uint8Array(),
    totalBytes: bytes.length,
    file: '/jobs/7/out',
  };
};

describe('the output of a command', () => {
  test('that is short is shown as it is', () => {
    expect(boundOutput(captured('a\nb\n'))).toEqual({ text: 'a\nb\n', isCut: false });
  });

  test('of five megabytes is shown by its head and tail, and where the rest is', () => {
    const lines = Array.from({ length: 100_000 }, (_, index) => `line ${index} ${'x'.repeat(40)}`);

    const { text, isCut } = boundOutput(captured(lines.join('\n')));

    expect(isCut).toBe(true);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(OUTPUT_BYTES + 200);
    expect(text.split('\n').length).toBeLessThanOrEqual(OUTPUT_LINES + 1);
    expect(text.startsWith('line 0 ')).toBe(true);
    expect(text.endsWith(lines.at(-1) ?? '')).toBe(true);
    expect(text).toMatch(/\[… about 5\.\d MB of 5\.\d MB left out; all of it is in \/jobs\/7\/out …\]/);
  });

  test('of many short lines is bounded by their number, and says how many are missing', () => {
    const { text } = boundOutput(captured('x\n'.repeat(10_000)));
    expect(text.split('\n').length).toBe(OUTPUT_LINES + 1);
    expect(text).toMatch(/\[… 8001 lines \(16\.0 KB\) left out; all of it is in \/jobs\/7\/out …\]/);
  });

  test('of one huge line shows its beginning and end', () => {
    const { text, isCut } = boundOutput(captured(`start${'x'.repeat(40_000)}end`));
    expect(isCut).toBe(true);
    expect(text).toMatch(/^startx+ \[… \d+ characters left out …\] x+end\n\[long lines were cut; all of it is in \/jobs\/7\/out\]$/);
    expect(text.length).toBeLessThan(2_200);
  });

  test('that is binary is not shown', () => {
    expect(boundOutput(captured(Buffer.from([0x7f, 0x45, 0, 1, 2])))).toEqual({
      text: '[binary output, 5 bytes; all of it is in /jobs/7/out]',
      isCut: true,
    });
  });

  test('is cut between characters', () => {
    const { text } = boundOutput(captured('🙂\n'.repeat(100_000)));
    expect(text).not.toContain('\uFFFD');
    expect(text.isWellFormed()).toBe(true);
    expect(cutLine('🙂'.repeat(5_000)).isWellFormed()).toBe(true);
  });

  test('exactly at the bound is whole', () => {
    expect(boundText('x\n'.repeat(OUTPUT_LINES - 1)).isCut).toBe(false);
    expect(boundText('x\n'.repeat(OUTPUT_LINES)).isCut).toBe(true);
  });
});

describe('control characters', () => {
  test.each([
    ['colours', '\u001b[1;31mred\u001b[0m and \u001b[38;5;12mblue\u001b[m', 'red and blue'],
    ['cursor moves', 'a\u001b[2K\u001b[1Gb\u001b[?25l', 'ab'],
    ['titles', '\u001b]0;title\u0007text', 'text'],
    ['links', '\u001b]8;;https://x.example\u001b\\link\u001b]8;;\u001b\\', 'link'],
    ['a title that is not closed goes to the end of its line', '\u001b]0;title\nnext', '\nnext'],
    ['a progress bar as it was last', '10%\r50%\r100%\ndone', '100%\ndone'],
    ['line ends of Windows', 'a\r\nb\r\n', 'a\nb\n'],
    ['a carriage return at the end', 'a\r', 'a'],
    ['bells and backspaces', 'a\u0007b\u0008c\tTab', 'abc\tTab'],
    ['a charset choice', '\u001b(Bplain', 'plain'],
  ])('%s', (_, given, shown) => {
    expect(stripControl(given)).toBe(shown);
  });

  test('of a line of a megabyte go in a moment', () => {
    const startMs = performance.now();
    stripControl('x'.repeat(1_000_000));
    stripControl(`${'\r'.repeat(1_000_000)}x`);
    stripControl('\u001b]'.repeat(500_000));
    stripControl('\u001b['.repeat(500_000));
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

describe('going in circles', () => {
  test('a text that says the same over and over is found, a text that does not is not', () => {
    expect(repeatedPiece(`I begin. ${'and so on '.repeat(30)}`)).toBeDefined();
    expect(repeatedPiece(`It is a longer sentence that comes again, word for word, as models do. `.repeat(30))).toBeDefined();
    expect(repeatedPiece(Array.from({ length: 300 }, (_, index) => `Step ${index} is another one.`).join('\n'))).toBeUndefined();
    expect(repeatedPiece('-'.repeat(5_000))).toBeUndefined();
    expect(repeatedPiece(' '.repeat(5_000))).toBeUndefined();
    expect(repeatedPiece('short')).toBeUndefined();
  });

  test('different calls are no circle', () => {
    expect(
      stuckIn(
        Array.from({ length: 60 }, (_, index) => traceOf('read', `f${index}`, 'same')),
        3,
      ),
    ).toBeUndefined();
    expect(stuckIn([], 3)).toBeUndefined();
  });
});
