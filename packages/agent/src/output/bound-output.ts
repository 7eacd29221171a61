import { isBinary } from '../edit/file-text.ts';
import type { CapturedOutput } from '../workspace.ts';
import { stripControl } from './strip-control.ts';

/** The most of an output that goes to a model; the rest stays in its file. */
export const OUTPUT_LINES = 2_000;
export const OUTPUT_BYTES = 50 * 1024;
/** Of a longer line only the beginning and the end. */
export const LINE_CHARACTERS = 2_000;

/** Errors stand at the end: it gets more room than the beginning. */
const HEAD_SHARE = 0.4;

/** How much of a command's output has to be brought back, so that what is left of it without colours still fills what may be shown. */
export const HEAD_BYTES = 64 * 1024;
export const TAIL_BYTES = 96 * 1024;

export interface BoundedText {
  text: string;
  isCut: boolean;
}

/** What a model is shown of the output of a command: its head and its tail, with a line between that says what is missing and where it is. */
export function boundOutput(output: CapturedOutput): BoundedText {
  const where = output.file === undefined ? '' : `; all of it is in ${output.file}`;
  if (isBinary(output.head) || isBinary(output.tail))
    return { text: `[binary output, ${tellBytes(output.totalBytes)}${where}]`, isCut: true };
  const missingBytes = output.totalBytes - output.head.length - output.tail.length;
  if (missingBytes <= 0) {
    const whole = Buffer.concat([output.head, output.tail]);
    return boundText(stripControl(decodeWhole(whole)), where);
  }
  const head = takeHead(linesOf(stripControl(decodeWhole(output.head))), OUTPUT_LINES * HEAD_SHARE, OUTPUT_BYTES * HEAD_SHARE);
  const tail = takeTail(linesOf(stripControl(decodeWhole(output.tail))), OUTPUT_LINES * (1 - HEAD_SHARE), OUTPUT_BYTES * (1 - HEAD_SHARE));
  const shownBytes = Buffer.byteLength(head.join('\n')) + Buffer.byteLength(tail.join('\n'));
  const gap = `[… about ${tellBytes(output.totalBytes - shownBytes)} of ${tellBytes(output.totalBytes)} left out${where} …]`;
  return { text: [...head, gap, ...tail].join('\n'), isCut: true };
}

/**
 * A text of bounded size: at most `OUTPUT_LINES` lines and `OUTPUT_BYTES` bytes of it, and long lines cut.
 *
 * @param where added to the line that says what is missing, such as `; all of it is in …`
 */
export function boundText(text: string, where = ''): BoundedText {
  const whole = text.split('\n');
  const lines = whole.map(cutLine);
  if (lines.length <= OUTPUT_LINES && bytesOf(lines) <= OUTPUT_BYTES) {
    const isCut = whole.some((line) => line.length > LINE_CHARACTERS);
    return { text: isCut && where !== '' ? `${lines.join('\n')}\n[long lines were cut${where}]` : lines.join('\n'), isCut };
  }
  const head = takeHead(lines, OUTPUT_LINES * HEAD_SHARE, OUTPUT_BYTES * HEAD_SHARE);
  const tail = takeTail(lines.slice(head.length), OUTPUT_LINES * (1 - HEAD_SHARE), OUTPUT_BYTES * (1 - HEAD_SHARE));
  const missing = lines.slice(head.length, lines.length - tail.length);
  const gap = `[… ${missing.length} lines (${tellBytes(bytesOf(missing))}) left out${where} …]`;
  return { text: [...head, gap, ...tail].join('\n'), isCut: true };
}

/** The beginning and the end of a long line. */
export function cutLine(line: string): string {
  if (line.length <= LINE_CHARACTERS) return line;
  const head = line.slice(0, LINE_CHARACTERS * 0.75);
  const tail = line.slice(-LINE_CHARACTERS * 0.2);
  return `${head.toWellFormed()} [… ${line.length - head.length - tail.length} characters left out …] ${tail.toWellFormed()}`;
}

export function tellBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} KB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function takeHead(lines: readonly string[], maxLines: number, maxBytes: number): string[] {
  let bytes = 0;
  const end = lines.findIndex((line, index) => index >= maxLines || (bytes += Buffer.byteLength(line) + 1) > maxBytes);
  return lines.slice(0, end === -1 ? lines.length : end);
}

function takeTail(lines: readonly string[], maxLines: number, maxBytes: number): string[] {
  return takeHead(lines.toReversed(), maxLines, maxBytes).reverse();
}

function linesOf(text: string): string[] {
  return text.split('\n').map(cutLine);
}

function bytesOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
}

/** A piece may begin or end inside of a character, whose bytes are dropped. */
function decodeWhole(bytes: Uint8Array): string {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return new TextDecoder('utf-8').decode(bytes.subarray(start), { stream: true });
}
