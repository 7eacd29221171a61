import { z } from 'zod';
import { boundText } from '../output/bound-output.ts';
import { workspacePath } from '../workspace-path.ts';
import { defineTool, succeeded } from './tool.ts';

const MAX_MATCHES = 200;
const SHOWN_CHARACTERS = 300;

export const search = defineTool({
  name: 'search',
  description: `Find lines by regular expression in files that git does not ignore; the first ${MAX_MATCHES}.`,
  effect: 'read',
  input: z.strictObject({
    pattern: z.string().min(1),
    path: z.string().optional().describe('file or folder'),
    glob: z.string().optional().describe('such as *.ts'),
    ignoreCase: z.boolean().optional(),
  }),
  async run({ pattern, path = '', glob, ignoreCase = false }, { workspace }) {
    const { matches, isCut } = await workspace.search({
      pattern,
      path: workspacePath(path, workspace.root),
      ...(glob !== undefined && { glob }),
      ignoreCase,
      maxMatches: MAX_MATCHES,
    });
    if (matches.length === 0) return succeeded('no line matches');
    const lines = matches.map((match) => {
      const text = match.text.trim();
      return `${match.path}:${match.line}: ${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}…` : text}`;
    });
    return succeeded(`${boundText(lines.join('\n')).text}${isCut ? '\n[there are more; search more narrowly]' : ''}`);
  },
});
