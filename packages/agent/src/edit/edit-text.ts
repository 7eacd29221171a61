import { type ByteRange, isBinary, lineNumberAt, linesOf } from './file-text.ts';
import { findMatch, type MatchStrategy } from './find-match.ts';
import { nearestRegion } from './nearest-region.ts';

export interface Edited {
  isEdited: true;
  bytes: Uint8Array;
  strategy: MatchStrategy;
  /** What was replaced, in the file as it was. */
  replaced: ByteRange;
  /** Lines of the edited file that hold the new text, from 1. */
  firstLine: number;
  lastLine: number;
  notes: string[];
}

/** Nothing was changed; `problem` tells a model what to do about it. */
export interface NotEdited {
  isEdited: false;
  problem: string;
}

/**
 * Replaces the one place of a text in a file. Bytes outside of that place stay as they are, whatever they are; a text that is not there, or is there more than
 * once, changes nothing.
 */
export function editText(bytes: Uint8Array, oldText: string, newText: string): Edited | NotEdited {
  if (oldText === '') return problem('the text to replace is empty; use write to make a file');
  if (oldText === newText) return problem('the new text is the old text: nothing would change');
  // Half a surrogate pair cannot be written: it would become another character, on either side.
  if (!oldText.isWellFormed() || !newText.isWellFormed()) return problem('the text has half a character in it (a lone surrogate)');
  if (isBinary(bytes)) return problem('it is a binary file, or one in UTF-16: it can only be changed by a command');

  const match = findMatch(bytes, oldText, newText);
  switch (match.found) {
    case 'many':
      return problem(
        `the text is there ${match.lines.length} times${match.strategy === 'whitespace' ? ', when indentation is not looked at' : ''}, at lines ${tellLines(match.lines)}; add lines around it until there is one`,
      );
    case 'unfitting':
      return problem(
        `the text is at line ${match.line} with another indentation, and the new text cannot be indented like it for sure; give both as the file has them`,
      );
    case 'none':
      return problem(
        ['the text is not in the file.', nearestRegion(bytes, oldText) ?? 'Nothing in it is like it; read the file.'].join(' '),
      );
    case 'one': {
      const { range, replacement } = match;
      const present = bytes.subarray(range.start, range.end);
      if (Buffer.compare(present, replacement) === 0) return problem('the new text is what the file has there: nothing would change');
      const edited = Buffer.concat([bytes.subarray(0, range.start), replacement, bytes.subarray(range.end)]);
      const lines = linesOf(edited);
      const lastByte = Math.max(range.start, range.start + replacement.length - 1);
      return {
        isEdited: true,
        bytes: edited,
        strategy: match.strategy,
        replaced: range,
        firstLine: lineNumberAt(lines, range.start),
        lastLine: lineNumberAt(lines, lastByte),
        notes: match.notes,
      };
    }
  }
}

function tellLines(lines: readonly number[]): string {
  const shown = lines.slice(0, 10).join(', ');
  return lines.length > 10 ? `${shown}, …` : shown;
}

function problem(text: string): NotEdited {
  return { isEdited: false, problem: text };
}
