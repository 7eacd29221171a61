import { PassThrough } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { describe, expect, test } from 'vitest';
import { formatBytes, formatMs } from '../src/output/amounts.ts';
import { openLiveRegion } from '../src/output/live-region.ts';
import { canUnicode, createStyle, wantsColor } from '../src/output/style.ts';
import { renderTable } from '../src/output/table.ts';
import { fitText, oneLine, severalLines, textWidth } from '../src/output/text-width.ts';
import { parseAddress } from '../src/worker-address.ts';

const plain = createStyle({ color: false, unicode: true });
const red = createStyle({ color: true, unicode: true });

test('a table has titles and columns on a terminal, and tabs in a pipe; a name cannot break its line', () => {
  const rows = [
    { name: 'one', size: '1' },
    { name: '日本\n\u001b[2Jx', size: '22' },
  ];
  const columns = [
    { title: 'name', cell: (row: (typeof rows)[number]) => row.name },
    { title: 'size', cell: (row: (typeof rows)[number]) => row.size },
  ];
  expect(renderTable(rows, columns, { isTty: true, style: plain })).toBe('NAME        SIZE\none         1\n日本 �[2Jx  22\n');
  expect(renderTable(rows, columns, { isTty: false, style: plain })).toBe('one\t1\n日本 �[2Jx\t22\n');
});

test('text is measured in cells and cut at whole letters', () => {
  expect(['abc', '日本', '👩‍💻', 'é', red.red('ab')].map(textWidth)).toEqual([3, 4, 2, 1, 2]);
  expect(fitText('abcdef', 4)).toBe('abc…');
  expect(fitText('日本語', 4)).toBe('日…');
  expect(fitText(`${red.red('abcdef')}`, 4)).toBe('\u001b[31mabc…\u001b[0m');
  expect(fitText('abc', 3)).toBe('abc');
});

test('text of strangers cannot steer the terminal', () => {
  expect(oneLine('a\u001b]0;title\u0007b\r\nc\u202ed')).toBe('a�]0;title�b c�d');
  expect(severalLines('a\n\tb\u001b[31m!\u001b[0m')).toEqual(['a', '    b!']);
});

test('amounts are said in units a person reads', () => {
  expect([350, 4_240, 59_960, 185_000, 7_620_000].map(formatMs)).toEqual(['350 ms', '4.2 s', '1 min 00 s', '3 min 05 s', '2 h 07 min']);
  expect([0, 999, 3_400, 1_230_000_000].map(formatBytes)).toEqual(['0 B', '999 B', '3.4 kB', '1.2 GB']);
});

test('colours and signs follow NO_COLOR, TERM and the locale', () => {
  expect(wantsColor({ TERM: 'xterm' }, true)).toBe(true);
  expect(wantsColor({ TERM: 'xterm', NO_COLOR: '1' }, true)).toBe(false);
  expect(wantsColor({ TERM: 'dumb' }, true)).toBe(false);
  expect(wantsColor({ TERM: 'xterm' }, false)).toBe(false);
  expect(canUnicode({ TERM: 'xterm', LANG: 'C.UTF-8' }, 'linux')).toBe(true);
  expect(canUnicode({ TERM: 'xterm', LANG: 'C' }, 'linux')).toBe(false);
});

describe('addresses of workers', () => {
  test.each([
    ['host', { host: 'host' }],
    ['ada@host', { host: 'host', user: 'ada' }],
    ['ada@10.0.0.7:2222', { host: '10.0.0.7', user: 'ada', port: 2222 }],
    ['[fe80::1]:22', { host: 'fe80::1', port: 22 }],
    ['::1', { host: '::1' }],
  ])('%s', (text, address) => expect(parseAddress(text)).toEqual(address));
  test.each(['', 'a b', 'host:0', 'host:70000', '-oProxyCommand=x', 'ada@-x', 'host:'])('%j is refused', (text) => {
    expect(() => parseAddress(text)).toThrow('is not an address');
  });
});

test('a live region redraws its own lines only, never more than fit, and leaves the cursor as it was', () => {
  const terminal = Object.assign(new PassThrough(), { columns: 20, rows: 5 }) as unknown as WriteStream & PassThrough;
  let lines = ['one', 'two'];
  const region = openLiveRegion(terminal, () => lines);
  region.update();
  lines = ['a line that is too long for the window', '2', '3', '4', '5', '6'];
  region.print([]);
  const drawn = terminal.read() as Buffer;
  // Four lines, and the one below them on which the cursor stands.
  expect(playBack(drawn)).toMatchObject({ tallest: 5, isCursorShown: false });
  region.print(['above']);
  region.close();
  expect(playBack(Buffer.concat([drawn, terminal.read() as Buffer]))).toMatchObject({ left: ['above'], isCursorShown: true });
});

/** A terminal of five rows as far as the region uses one: what is left on it, and how many rows were used at once. */
function playBack(bytes: Buffer): { left: string[]; tallest: number; isCursorShown: boolean } {
  const rows: string[] = [''];
  let row = 0;
  let tallest = 0;
  let isCursorShown = true;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is told by
  for (const part of bytes.toString().match(/\u001b\[[?0-9]*[A-Za-z]|\r|\n|[^\u001b\r\n]+/g) ?? []) {
    if (part.startsWith('\u001b[') && part.endsWith('A')) row -= Number(part.slice(2, -1));
    else if (part === '\u001b[J') rows.splice(row, rows.length, '');
    else if (part === '\u001b[?25l') isCursorShown = false;
    else if (part === '\u001b[?25h') isCursorShown = true;
    else if (part === '\n') rows[++row] ??= '';
    else if (!part.startsWith('\u001b') && part !== '\r') rows[row] = part;
    if (row < 0) throw new Error('the cursor left the region');
    tallest = Math.max(tallest, rows.length);
  }
  return { left: rows.filter((text) => text !== ''), tallest, isCursorShown };
}
