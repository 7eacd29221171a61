import { z } from 'zod';
import { tellBytes } from '../output/bound-output.ts';
import type { FolderEntry } from '../workspace.ts';
import { workspacePath } from '../workspace-path.ts';
import { defineTool, succeeded } from './tool.ts';

const MAX_ENTRIES = 500;

export const list = defineTool({
  name: 'list',
  description: `List a folder, without what git ignores; the first ${MAX_ENTRIES} entries.`,
  effect: 'read',
  input: z.strictObject({
    path: z.string().optional().describe('the whole workspace if absent'),
    depth: z.int().min(1).max(10).optional().describe('1 if absent'),
  }),
  async run({ path = '', depth = 1 }, { workspace }) {
    const { entries, leftOut, isCounted } = await workspace.list({
      folder: workspacePath(path, workspace.root),
      depth,
      maxEntries: MAX_ENTRIES,
    });
    if (entries.length === 0) return succeeded('the folder is empty');
    const more = leftOut > 0 ? [`[${isCounted ? '' : 'at least '}${leftOut} more; list a folder below, or search]`] : [];
    return succeeded([...entries.map(tell), ...more].join('\n'));
  },
});

function tell({ path, kind, bytes }: FolderEntry): string {
  // A name may hold anything, also a line end.
  const name = /\p{Cc}/u.test(path) ? JSON.stringify(path) : path;
  if (kind === 'folder') return `${name}/`;
  if (kind === 'link') return `${name} (link)`;
  if (kind === 'other') return `${name} (no file)`;
  return bytes === undefined ? name : `${name} (${tellBytes(bytes)})`;
}
