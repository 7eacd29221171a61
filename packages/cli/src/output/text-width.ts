const letters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f000}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what a colour is
const COLOUR = /\u001b\[[0-9;]*m/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these must not reach a terminal
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const PLAIN = /^[\u0020-\u007e]*$/;

/** Cells of a terminal that the text takes; colours take none. */
export function textWidth(text: string): number {
  const bare = text.replace(COLOUR, '');
  if (PLAIN.test(bare)) return bare.length;
  let width = 0;
  for (const { segment } of letters.segment(bare)) width += letterWidth(segment);
  return width;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what a colour is
const COLOUR_APART = /(\u001b\[[0-9;]*m)/;

/** Cuts text to at most `width` cells, with `ellipsis` where something is missing. Colours stay whole and are closed. */
export function fitText(text: string, width: number, ellipsis = '…'): string {
  if (textWidth(text) <= width) return text;
  const room = Math.max(0, width - textWidth(ellipsis));
  let result = '';
  let taken = 0;
  let hasColour = false;
  for (const part of text.split(COLOUR_APART)) {
    if (part.startsWith('\u001b')) {
      result += part;
      hasColour = true;
      continue;
    }
    for (const { segment } of letters.segment(part)) {
      taken += letterWidth(segment);
      if (taken > room) return `${result}${width > 0 ? ellipsis : ''}${hasColour ? '\u001b[0m' : ''}`;
      result += segment;
    }
  }
  return result;
}

export function padText(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)));
}

/** Text of strangers (names of tests, of files, of tasks) on one line: nothing in it may steer the terminal. */
export function oneLine(text: string): string {
  return text.replace(COLOUR, '').replace(/\r?\n/g, ' ').replace(CONTROL, '\ufffd');
}

/** As `oneLine`, for text of several lines. */
export function severalLines(text: string): string[] {
  return text
    .replace(COLOUR, '')
    .split(/\r?\n/)
    .map((line) => line.replaceAll('\t', '    ').replace(CONTROL, '\ufffd'));
}

function letterWidth(letter: string): number {
  if (WIDE.test(letter)) return 2;
  return /^[\p{M}\u200b-\u200d\ufeff]+$/u.test(letter) ? 0 : 1;
}
