import { z } from 'zod';
import { editText } from '../edit/edit-text.ts';
import { workspacePath } from '../workspace-path.ts';
import { openFile } from './open-file.ts';
import { defineTool, failed, succeeded } from './tool.ts';

export const edit = defineTool({
  name: 'edit',
  description: 'Replace a piece of text in a file. old must be in the file exactly once, as it is there; give lines around it if need be.',
  effect: 'write',
  input: z.strictObject({ path: z.string().min(1), old: z.string(), new: z.string() }),
  async run({ path: given, old, new: replacement }, { workspace, seen }) {
    const path = workspacePath(given, workspace.root);
    const { bytes, hash } = await openFile(workspace, path);
    const edited = editText(bytes, old, replacement);
    if (!edited.isEdited) return failed(`${path} was not changed: ${edited.problem}`);
    const now = await workspace.writeFile(path, edited.bytes, hash);
    const { firstLine, lastLine, strategy, notes } = edited;
    const place = firstLine === lastLine ? `line ${firstLine}` : `lines ${firstLine}-${lastLine}`;
    const how = strategy === 'exact' ? 'exact match' : 'matched whole lines but for white space';
    return succeeded([`edited ${path}, ${place} (${how})`, ...notes].join('; '), {
      touched: [path],
      // Of a file it knew only in part it still knows only a part.
      ...(seen[path] === hash && { seen: [{ path, hash: now }] }),
    });
  },
});
