import { CodedError } from '@helixcode/protocol/errors';
import { z } from 'zod';
import { type PatchOperation, parsePatch } from '../edit/parse-patch.ts';
import { patchText } from '../edit/patch-text.ts';
import { ABSENT, type Workspace } from '../workspace.ts';
import { workspacePath } from '../workspace-path.ts';
import { fileIfThere, openFile } from './open-file.ts';
import { defineTool, failed, succeeded } from './tool.ts';

/** One file before and after; `bytes` absent: it goes. */
interface Change {
  path: string;
  expected: string;
  bytes: Uint8Array | undefined;
  /** The model knows all of what is there afterwards. */
  isKnown: boolean;
  told: string;
}

export const applyPatch = defineTool({
  name: 'apply_patch',
  description:
    'Change files by a patch: "*** Begin Patch", per file "*** Add File: p", "*** Delete File: p" or "*** Update File: p" (then maybe "*** Move to: q") with hunks of lines beginning with " ", "-" or "+", "@@ line" before a hunk to say where, "*** End Patch".',
  effect: 'write',
  input: z.strictObject({ patch: z.string() }),
  async run({ patch }, { workspace, seen: known }) {
    const parsed = parsePatch(patch);
    if ('problem' in parsed) return failed(`nothing was changed: ${parsed.problem}`);
    const changes: Change[] = [];
    for (const operation of parsed.operations) {
      const made = await changesOf(operation, workspace, known);
      if ('problem' in made) return failed(`nothing was changed: ${made.problem}`);
      changes.push(...made.changes);
    }
    const twice = changes.find(({ path }, index) => changes.findIndex((one) => one.path === path) !== index);
    if (twice !== undefined) return failed(`nothing was changed: ${twice.path} is in the patch twice`);

    const seen: { path: string; hash: string }[] = [];
    const touched = changes.map(({ path }) => path);
    const done: string[] = [];
    for (const { path, expected, bytes, isKnown, told } of changes) {
      try {
        if (bytes === undefined) await workspace.removeFile(path, expected);
        const hash = bytes === undefined ? ABSENT : await workspace.writeFile(path, bytes, expected);
        if (isKnown) seen.push({ path, hash });
      } catch (error) {
        if (!(error instanceof CodedError) || !error.code.startsWith('workspace.')) throw error;
        const before = done.length === 0 ? 'nothing was changed' : `only this was done: ${done.join('; ')}`;
        return failed(`${before}; then ${path} failed: ${error.message}`, { touched, seen });
      }
      done.push(told);
    }
    return succeeded(done.join('\n'), { touched, seen });
  },
});

async function changesOf(
  operation: PatchOperation,
  workspace: Workspace,
  known: Readonly<Record<string, string>>,
): Promise<{ changes: Change[] } | { problem: string }> {
  const path = workspacePath(operation.path, workspace.root);
  if (path === '') return { problem: 'a path is the workspace itself' };
  if (operation.kind === 'add') {
    if (!operation.text.isWellFormed()) return { problem: `${path} would have half a character in it (a lone surrogate)` };
    if ((await fileIfThere(workspace, path)) !== undefined) return { problem: `${path} exists; update it` };
    return { changes: [{ path, expected: ABSENT, bytes: Buffer.from(operation.text), isKnown: true, told: `made ${path}` }] };
  }
  const { bytes, hash } = await openFile(workspace, path);
  if (operation.kind === 'delete') return { changes: [{ path, expected: hash, bytes: undefined, isKnown: true, told: `deleted ${path}` }] };

  const isKnown = known[path] === hash;
  const patched =
    operation.hunks.length === 0 ? { isEdited: true as const, bytes, strategies: [], notes: [] } : patchText(bytes, operation.hunks);
  if (!patched.isEdited) return { problem: `${path}: ${patched.problem}` };
  const loose = patched.strategies.flatMap((strategy, index) => (strategy === 'whitespace' ? [index + 1] : []));
  const how = loose.length === 0 ? 'exact match' : `hunk ${loose.join(', ')} matched whole lines but for white space`;
  const told = [`patched ${path} (${how})`, ...patched.notes].join('; ');
  if (operation.moveTo === undefined) return { changes: [{ path, expected: hash, bytes: patched.bytes, isKnown, told }] };
  const target = workspacePath(operation.moveTo, workspace.root);
  if (target === '' || (await fileIfThere(workspace, target)) !== undefined)
    return { problem: `${operation.moveTo} exists: nothing is moved onto it` };
  return {
    changes: [
      { path: target, expected: ABSENT, bytes: patched.bytes, isKnown, told },
      { path, expected: hash, bytes: undefined, isKnown: true, told: `moved ${path} to ${target}` },
    ],
  };
}
