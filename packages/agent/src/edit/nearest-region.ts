import { decode, linesOf } from './file-text.ts';
import { indentationOf } from './indentation.ts';
import { asItLooks, tellLookAlike } from './look-alikes.ts';

const SHOWN_LINES = 20;
const SHOWN_CHARACTERS = 160;
/** Of a larger file only the beginning is compared: this is help, and must not take longer than the edit. */
const COMPARED_LINES = 50_000;
const COMPARED_ASKED_LINES = 200;
/** Share of equal pairs of letters from which a line counts as near. */
const NEAR = 0.5;

/**
 * The place of a file that is most like a text that was not found in it, with line numbers, and how it differs first.
 *
 * @returns `undefined` where nothing is like it
 */
export function nearestRegion(bytes: Uint8Array, oldText: string): string | undefined {
  const lines = linesOf(bytes)
    .slice(0, COMPARED_LINES)
    .map(({ start, end }) => decode(bytes.subarray(start, Math.min(end, start + 10_000))));
  const asked = oldText.replaceAll('\r\n', '\n').split('\n').slice(0, COMPARED_ASKED_LINES);
  while (asked.length > 1 && asked.at(-1) === '') asked.pop();

  const start = placeOfEqualLines(lines, asked) ?? placeOfSimilarLine(lines, asked);
  if (start === undefined) return undefined;
  const from = Math.max(0, start);
  const to = Math.min(lines.length, from + Math.min(asked.length, SHOWN_LINES));
  const width = String(to).length;
  const shown = lines.slice(from, to).map((line, index) => `${String(from + index + 1).padStart(width)} | ${cut(line)}`);
  const difference = firstDifference(lines, asked, start);
  return [
    `The nearest is ${to - from > 1 ? `lines ${from + 1}-${to}` : `line ${from + 1}`}:`,
    ...shown,
    ...(difference ? [difference] : []),
  ].join('\n');
}

/** Each line that is equal but for white space and look-alikes votes for the place at which the text would begin. */
function placeOfEqualLines(lines: readonly string[], asked: readonly string[]): number | undefined {
  const keys = new Map<string, number[]>();
  for (const [index, line] of asked.entries()) {
    const key = keyOf(line);
    if (key !== '') keys.set(key, [...(keys.get(key) ?? []), index]);
  }
  const votes = new Map<number, number>();
  for (const [index, line] of lines.entries()) {
    const key = keyOf(line);
    for (const place of keys.get(key) ?? []) votes.set(index - place, (votes.get(index - place) ?? 0) + Math.min(key.length, 30));
  }
  let best: number | undefined;
  for (const [place, weight] of votes) if (best === undefined || weight > (votes.get(best) ?? 0)) best = place;
  // A lone bracket is in every file.
  return best !== undefined && (votes.get(best) ?? 0) >= 4 ? best : undefined;
}

function placeOfSimilarLine(lines: readonly string[], asked: readonly string[]): number | undefined {
  const [longest, place] = asked.reduce<[string, number]>(
    (best, line, index) => (line.trim().length > best[0].length ? [line.trim(), index] : best),
    ['', 0],
  );
  const pairs = pairsOf(longest);
  if (pairs.size === 0) return undefined;
  let best: { at: number; likeness: number } | undefined;
  for (const [at, line] of lines.entries()) {
    const likeness = likenessOf(pairs, pairsOf(line.trim().slice(0, 500)));
    if (likeness >= NEAR && likeness > (best?.likeness ?? 0)) best = { at, likeness };
  }
  return best && best.at - place;
}

function firstDifference(lines: readonly string[], asked: readonly string[], start: number): string | undefined {
  for (const [index, wanted] of asked.entries()) {
    const found = lines[start + index];
    const number = start + index + 1;
    if (found === undefined) return `The asked text has ${asked.length} lines and does not fit there.`;
    if (found.trim() === wanted.trim()) continue;
    const lookAlike = tellLookAlike(found.trim(), wanted.trim());
    if (lookAlike !== undefined) return `Line ${number} only looks the same: ${lookAlike}.`;
    return `Line ${number} differs; the asked text has: ${cut(wanted)}`;
  }
  for (const [index, wanted] of asked.entries()) {
    const found = lines[start + index] ?? '';
    if (wanted.trim() !== '' && indentationOf(found) !== indentationOf(wanted))
      return `Line ${start + index + 1} is indented otherwise, and not all lines are by the same difference.`;
  }
  return undefined;
}

function keyOf(line: string): string {
  return asItLooks(line.slice(0, 2_000)).replace(/\s+/g, '');
}

function pairsOf(text: string): Set<string> {
  const pairs = new Set<string>();
  for (let at = 0; at + 1 < text.length; at++) pairs.add(text.slice(at, at + 2));
  return pairs;
}

function likenessOf(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let shared = 0;
  for (const pair of a) if (b.has(pair)) shared++;
  return a.size + b.size === 0 ? 0 : (2 * shared) / (a.size + b.size);
}

function cut(line: string): string {
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}… (${line.length} characters)` : line;
}
