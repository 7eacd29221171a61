import { z } from 'zod';
import { decode, hasByteOrderMark, isBinary, lineEndsOf, linesOf } from '../edit/file-text.ts';
import { cutLine, LINE_CHARACTERS, OUTPUT_BYTES, OUTPUT_LINES, tellBytes } from '../output/bound-output.ts';
import { workspacePath } from '../workspace-path.ts';
import { openFile } from './open-file.ts';
import { defineTool, failed, succeeded } from './tool.ts';

export const read = defineTool({
  name: 'read',
  description: `Read a text file, at most ${OUTPUT_LINES} lines or ${OUTPUT_BYTES / 1024} KB at a time.`,
  effect: 'read',
  input: z.strictObject({
    path: z.string().min(1),
    from: z.int().min(1).optional().describe('first line'),
    lines: z.int().min(1).optional(),
  }),
  async run({ path: given, from = 1, lines: asked = OUTPUT_LINES }, { workspace }) {
    const path = workspacePath(given, workspace.root);
    const { bytes, hash } = await openFile(workspace, path);
    const touched = [path];
    if (isBinary(bytes)) return failed(`${path} is a binary file (${tellBytes(bytes.length)}): it is not shown`);
    const lines = linesOf(bytes);
    if (lines.length === 0) return succeeded(`${path} is empty`, { touched, seen: [{ path, hash }] });
    if (from > lines.length) return failed(`${path} has ${lines.length} lines; there is no line ${from}`, { touched });

    const shown: string[] = [];
    let shownBytes = 0;
    let isLineCut = false;
    for (const line of lines.slice(from - 1, from - 1 + Math.min(asked, OUTPUT_LINES))) {
      const whole = decode(bytes.subarray(line.start, line.end));
      const text = cutLine(whole);
      shownBytes += Buffer.byteLength(text) + 1;
      if (shown.length > 0 && shownBytes > OUTPUT_BYTES) break;
      isLineCut ||= whole.length > LINE_CHARACTERS;
      shown.push(text);
    }
    const last = from + shown.length - 1;
    const facts = [
      `${path}, lines ${from}-${last} of ${lines.length}`,
      ...(hasByteOrderMark(bytes) ? ['begins with a byte order mark'] : []),
      ...({ crlf: ['line ends are CRLF'], mixed: ['line ends are mixed, LF and CRLF'], lf: [], none: [] }[lineEndsOf(lines)] ?? []),
      ...(lines.at(-1)?.end === lines.at(-1)?.next ? ['the last line does not end'] : []),
      ...(isLineCut ? ['long lines are cut'] : []),
    ];
    const more = last < lines.length ? `\n[${lines.length - last} more lines; go on with from=${last + 1}]` : '';
    const isWhole = shown.length === lines.length && !isLineCut;
    return succeeded(`[${facts.join('; ')}]\n${shown.join('\n')}${more}`, { touched, ...(isWhole && { seen: [{ path, hash }] }) });
  },
});
