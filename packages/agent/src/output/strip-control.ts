// Colours, cursor moves (CSI), titles and links (OSC), device strings (DCS, PM, APC, SOS), and the two-character escapes, by ECMA-48. One that is not closed goes to the
// end of its line only, so that it cannot swallow what follows.
const ESCAPES = new RegExp(
  [
    String.raw`\u001b\[[0-?]*[ -/]*[@-~]`,
    String.raw`\u009b[0-?]*[ -/]*[@-~]`,
    String.raw`\u001b[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?`,
    String.raw`\u001b[ -/]*[0-~]`,
    String.raw`\u001b`,
  ].join('|'),
  'g',
);

/**
 * Text as it looks when it is written on a page: without colours and cursor moves, a line that was overwritten (progress bars) as it was last, no
 * control characters but tab and line feed.
 */
export function stripControl(text: string): string {
  return text
    .replace(ESCAPES, '')
    .split('\n')
    .map(asWrittenLast)
    .join('\n')
    .replace(/(?![\t\n])\p{Cc}/gu, '');
}

function asWrittenLast(line: string): string {
  let end = line.length;
  while (line.charAt(end - 1) === '\r') end--;
  return line.slice(line.lastIndexOf('\r', end - 1) + 1, end);
}
