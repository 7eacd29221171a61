import { type ByteRange, type LineRange, lineEndsOf, lineNumberAt, linesOf, withLineEnds } from './file-text.ts';
import { describeChange, indentationChange, indentationOf, indentBy } from './indentation.ts';

/**
 * How the text was found. `exact`: byte for byte. `whitespace`: whole lines that are equal but for white space at their beginning and end and for line ends,
 * indented otherwise by one and the same change. There is no third way.
 */
export type MatchStrategy = 'exact' | 'whitespace';

export type Match =
  | {
      found: 'one';
      strategy: MatchStrategy;
      range: ByteRange;
      /** What takes the place of the range: the new text, with the line ends and indentation of the file. */
      replacement: Uint8Array;
      /** What was adapted, for people and models. */
      notes: string[];
    }
  /** `lines`: where each begins, from 1; the first hundred. */
  | { found: 'many'; strategy: MatchStrategy; lines: number[] }
  | { found: 'none' }
  /** It is there, but the new text cannot be indented as the file is without guessing. */
  | { found: 'unfitting'; line: number };

const MOST_LINES = 100;

/**
 * Finds the one place of a text in a file. The file is read as bytes, so that it may have any encoding that keeps ASCII, and every byte keeps its place.
 *
 * @param options `within`: where to look; `wholeLines`: the text begins where a line does
 */
export function findMatch(
  bytes: Uint8Array,
  oldText: string,
  newText: string,
  options: { within?: ByteRange; wholeLines?: boolean } = {},
): Match {
  // One character a byte: places in this text are places in the file.
  const file = asText(bytes);
  const lines = linesOf(bytes);
  const { start: from, end: to } = options.within ?? { start: 0, end: bytes.length };
  const lineStarts = options.wholeLines ? new Set(lines.map((line) => line.start)) : undefined;
  const ends = lineEndsOf(lines);
  let asked = oldText;
  let strategy: MatchStrategy = 'exact';
  let starts = exactMatches(file, asText(Buffer.from(asked)), from, to, lineStarts);
  if (starts.length === 0 && ends === 'crlf' && /(?<!\r)\n/.test(oldText)) {
    asked = withLineEnds(oldText, 'crlf');
    strategy = 'whitespace';
    starts = exactMatches(file, asText(Buffer.from(asked)), from, to, lineStarts);
  }
  if (starts.length > 1) return { found: 'many', strategy, lines: starts.map((start) => lineNumberAt(lines, start)) };
  const [start] = starts;
  if (start === undefined) return matchLines(file, lines, oldText, newText, { start: from, end: to });

  // A line end was asked for as it is written elsewhere, and only its second half is in the match: the first belongs to it.
  const isHalf = file[start] === '\n' && file[start - 1] === '\r';
  const isAdapted = ends === 'crlf' && /(?<!\r)\n/.test(newText);
  const text = isAdapted ? withLineEnds(newText, 'crlf') : isHalf && newText.startsWith('\n') ? `\r${newText}` : newText;
  return {
    found: 'one',
    strategy: isHalf ? 'whitespace' : strategy,
    range: { start: isHalf ? start - 1 : start, end: start + Buffer.byteLength(asked) },
    replacement: Buffer.from(text),
    notes: isAdapted ? ['line ends written as CRLF, as in the whole file'] : [],
  };
}

/** Overlapping ones count: which of them was meant nobody knows. */
function exactMatches(file: string, asked: string, from: number, to: number, among: ReadonlySet<number> | undefined): number[] {
  const starts: number[] = [];
  for (let at = file.indexOf(asked, from); at !== -1 && at + asked.length <= to; at = file.indexOf(asked, at + 1)) {
    if (among?.has(at) === false) continue;
    if (starts.push(at) === MOST_LINES) break;
  }
  return starts;
}

function matchLines(file: string, allLines: readonly LineRange[], oldText: string, newText: string, within: ByteRange): Match {
  const asked = asText(Buffer.from(oldText)).split('\n');
  const endsLine = asked.at(-1) === '' && asked.length > 1;
  if (endsLine) asked.pop();
  const askedTrimmed = asked.map(trimmed);
  if (askedTrimmed.every((line) => line === '')) return { found: 'none' };

  const first = allLines.findIndex(({ start }) => start >= within.start);
  const lines = first === -1 ? [] : allLines.slice(first).filter(({ end }) => end <= within.end);
  const contents = lines.map(({ start, end }) => file.slice(start, end));
  const trimmedContents = contents.map(trimmed);
  const places: number[] = [];
  for (let place = 0; place + asked.length <= lines.length && places.length < MOST_LINES; place++)
    if (askedTrimmed.every((line, index) => line === trimmedContents[place + index])) places.push(place);
  if (places.length > 1) return { found: 'many', strategy: 'whitespace', lines: places.map((place) => first + place + 1) };
  const [place] = places;
  if (place === undefined) return { found: 'none' };

  const change = indentationChange(
    asked.flatMap((line, index) =>
      askedTrimmed[index] === '' ? [] : [{ asked: indentationOf(line), found: indentationOf(contents[place + index] ?? '') }],
    ),
  );
  if (change === undefined) return { found: 'none' };

  const newLines = newText.replaceAll('\r\n', '\n').split('\n');
  for (const [index, line] of newLines.entries()) {
    if (line.trim() === '') continue;
    const indentation = indentationOf(line);
    const fitting = indentBy(indentation, change);
    if (fitting === undefined) return { found: 'unfitting', line: first + place + 1 };
    newLines[index] = fitting + line.slice(indentation.length);
  }
  const region = lines.slice(place, place + asked.length);
  const last = region.at(-1) as LineRange;
  // At the end of a file whose last line does not end, a line end that was asked for is not there, and is not put there.
  const isUnended = endsLine && last.next === last.end;
  if (isUnended && newLines.length > 1 && newLines.at(-1) === '') newLines.pop();

  const ofFile = lineEndsOf(allLines);
  const ends = ofFile === 'mixed' ? lineEndsOf(region) : ofFile;
  const text = newLines.join('\n');
  return {
    found: 'one',
    strategy: 'whitespace',
    range: { start: (region[0] as LineRange).start, end: endsLine ? last.next : last.end },
    replacement: Buffer.from(ends === 'crlf' ? withLineEnds(text, 'crlf') : text),
    notes: [describeChange(change)].filter((note) => note !== undefined),
  };
}

// By hand: an expression for white space at the end takes the square of the longest run of it.
function trimmed(line: string): string {
  let start = 0;
  let end = line.length;
  while (start < end && ' \t'.includes(line.charAt(start))) start++;
  while (end > start && ' \t\r'.includes(line.charAt(end - 1))) end--;
  return line.slice(start, end);
}

function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
