import { z } from 'zod';
import { tellBytes } from '../output/bound-output.ts';
import { ABSENT } from '../workspace.ts';
import { workspacePath } from '../workspace-path.ts';
import { fileIfThere } from './open-file.ts';
import { defineTool, failed, succeeded } from './tool.ts';

export const write = defineTool({
  name: 'write',
  description: 'Make a file, or replace all of one you have read. To change a part, use edit.',
  effect: 'write',
  input: z.strictObject({ path: z.string().min(1), content: z.string() }),
  problemOf: ({ content }) => (content.isWellFormed() ? undefined : 'the content has half a character in it (a lone surrogate)'),
  async run({ path: given, content }, { workspace, seen }) {
    const path = workspacePath(given, workspace.root);
    if (path === '') return failed('the path is the workspace itself');
    const present = await fileIfThere(workspace, path);
    const known = seen[path] ?? ABSENT;
    const expected = present?.hash ?? ABSENT;
    // What a model has not seen as it is, it must not replace: it may be somebody else's work.
    if (present !== undefined && known !== present.hash)
      return failed(
        `${path} ${known === ABSENT ? 'exists, and you have not read all of it' : 'was changed since you read it'}; read it before you replace it, or change parts of it with edit`,
      );
    const bytes = Buffer.from(content);
    if (present !== undefined && Buffer.compare(present.bytes, bytes) === 0)
      return succeeded(`${path} has that content already`, { touched: [path], seen: [{ path, hash: expected }] });
    const hash = await workspace.writeFile(path, bytes, expected);
    return succeeded(`${present === undefined ? 'made' : 'replaced'} ${path} (${tellBytes(bytes.length)})`, {
      touched: [path],
      seen: [{ path, hash }],
    });
  },
});
