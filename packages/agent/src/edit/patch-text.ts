import type { NotEdited } from './edit-text.ts';
import { decode, isBinary, lineEndsOf, linesOf, withLineEnds } from './file-text.ts';
import { findMatch, type MatchStrategy } from './find-match.ts';
import { nearestRegion } from './nearest-region.ts';
import type { Hunk } from './parse-patch.ts';

export interface Patched {
  isEdited: true;
  bytes: Uint8Array;
  /** Of each hunk, in their order. */
  strategies: MatchStrategy[];
  notes: string[];
}

/**
 * Makes all hunks of one file, each behind the one before it, or none. The rules are those of an edit: whole lines, the one place where they are, behind the anchor
 * where there is one.
 */
export function patchText(bytes: Uint8Array, hunks: readonly Hunk[]): Patched | NotEdited {
  if (isBinary(bytes)) return { isEdited: false, problem: 'it is a binary file, or one in UTF-16: it can only be changed by a command' };
  let present = bytes;
  let cursor = 0;
  const strategies: MatchStrategy[] = [];
  const notes = new Set<string>();
  for (const [index, hunk] of hunks.entries()) {
    const problem = (text: string): NotEdited => ({ isEdited: false, problem: `hunk ${index + 1}: ${text}` });
    if (!hunk.oldText.isWellFormed() || !hunk.newText.isWellFormed()) return problem('it has half a character in it (a lone surrogate)');
    let from = cursor;
    if (hunk.anchor !== undefined) {
      const anchor = anchorEnd(present, hunk.anchor, cursor);
      if ('problem' in anchor) return problem(anchor.problem);
      from = anchor.end;
    }
    if (hunk.oldText === '') {
      const place = insertionPlace(present, hunk, from);
      if (typeof place !== 'number') return problem(place.problem);
      const lines = linesOf(present);
      const text = lineEndsOf(lines) === 'crlf' ? withLineEnds(hunk.newText, 'crlf') : hunk.newText;
      const isUnended = place > 0 && place === present.length && lines.at(-1)?.next === lines.at(-1)?.end;
      if (isUnended) return problem('the last line of the file does not end; give it as context');
      present = splice(present, place, place, Buffer.from(text));
      cursor = place + Buffer.byteLength(text);
      strategies.push('exact');
      continue;
    }
    const match = findMatch(present, hunk.oldText, hunk.newText, { within: { start: from, end: present.length }, wholeLines: true });
    if (match.found === 'many' && !hunk.isAtEnd)
      return problem(
        `its lines are there ${match.lines.length} times, at lines ${match.lines.slice(0, 10).join(', ')}; add context, or "@@ " and a line before it`,
      );
    const found =
      match.found === 'many'
        ? findMatch(present, hunk.oldText, hunk.newText, { within: lastLines(present, hunk.oldText), wholeLines: true })
        : match;
    if (found.found === 'unfitting')
      return problem(`its lines are at line ${found.line} with another indentation; give them as the file has them`);
    if (found.found !== 'one')
      return problem(
        `its lines are not ${cursor > 0 || hunk.anchor !== undefined ? 'behind that place ' : ''}in the file. ${nearestRegion(present, hunk.oldText) ?? 'Nothing in it is like them; read the file.'}`,
      );
    if (hunk.isAtEnd && found.range.end < present.length) return problem('its lines are in the file, but not at its end');
    present = splice(present, found.range.start, found.range.end, found.replacement);
    cursor = found.range.start + found.replacement.length;
    strategies.push(found.strategy);
    for (const note of found.notes) notes.add(note);
  }
  return { isEdited: true, bytes: present, strategies, notes: [...notes] };
}

/** The end of the one line, at or behind `from`, that is the anchor. */
function anchorEnd(bytes: Uint8Array, anchor: string, from: number): { end: number } | { problem: string } {
  const found = linesOf(bytes).filter(({ start, end }) => start >= from && decode(bytes.subarray(start, end)).trim() === anchor);
  const [only] = found;
  if (only !== undefined && found.length === 1) return { end: only.next };
  const what = `the line after "@@", ${JSON.stringify(anchor.slice(0, 100))},`;
  return { problem: only === undefined ? `${what} is not in the file as a whole line` : `${what} is there ${found.length} times` };
}

function insertionPlace(bytes: Uint8Array, hunk: Hunk, from: number): number | { problem: string } {
  if (hunk.isAtEnd || bytes.length === 0) return bytes.length;
  if (hunk.anchor !== undefined) return from;
  return { problem: 'it only adds lines and does not say where: give context, "@@ " and the line before, or "*** End of File"' };
}

function lastLines(bytes: Uint8Array, oldText: string): { start: number; end: number } {
  const count = oldText.split('\n').length - 1;
  return { start: linesOf(bytes).at(-count)?.start ?? 0, end: bytes.length };
}

function splice(bytes: Uint8Array, start: number, end: number, replacement: Uint8Array): Uint8Array {
  return Buffer.concat([bytes.subarray(0, start), replacement, bytes.subarray(end)]);
}
