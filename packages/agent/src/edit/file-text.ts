const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** A place in a file, in bytes. */
export interface ByteRange {
  start: number;
  /** The first byte behind it. */
  end: number;
}

/** One line: its content without what ends it. */
export interface LineRange extends ByteRange {
  /** The first byte of the next line; equal to `end` where nothing ends the line. */
  next: number;
}

/** How the lines of a piece of text end; `none`: it has no line end. */
export type LineEnds = 'lf' | 'crlf' | 'mixed' | 'none';

/** Whether it is no text: a zero byte is in it. UTF-16 counts as binary, since every other byte of it is zero. */
export function isBinary(bytes: Uint8Array): boolean {
  return bytes.includes(0);
}

export function hasByteOrderMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

/** The lines of a file. A carriage return before the line end belongs to the end; a byte order mark is no part of the first line. */
export function linesOf(bytes: Uint8Array): LineRange[] {
  const lines: LineRange[] = [];
  let start = hasByteOrderMark(bytes) ? 3 : 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, start);
    if (newline === -1) {
      lines.push({ start, end: bytes.length, next: bytes.length });
      break;
    }
    const end = newline > start && bytes[newline - 1] === RETURN ? newline - 1 : newline;
    lines.push({ start, end, next: newline + 1 });
    start = newline + 1;
  }
  return lines;
}

export function lineEndsOf(lines: readonly LineRange[]): LineEnds {
  let lf = 0;
  let crlf = 0;
  for (const { end, next } of lines) {
    if (next - end === 1) lf++;
    else if (next - end === 2) crlf++;
  }
  if (lf === 0 && crlf === 0) return 'none';
  return lf === 0 ? 'crlf' : crlf === 0 ? 'lf' : 'mixed';
}

/** Number of the line, from 1, that holds the byte. */
export function lineNumberAt(lines: readonly LineRange[], byte: number): number {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lines[middle]?.start ?? 0) <= byte) low = middle + 1;
    else high = middle;
  }
  return Math.max(1, low);
}

/** Every line end of the text as the given one. */
export function withLineEnds(text: string, ends: 'lf' | 'crlf'): string {
  const plain = text.replaceAll('\r\n', '\n');
  return ends === 'lf' ? plain : plain.replaceAll('\n', '\r\n');
}

export function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}
