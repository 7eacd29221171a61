import { createHash } from 'node:crypto';
import path from 'node:path';
import { ABSENT, type FolderEntry, type RunRequest, type RunResult, type Workspace } from '@helixcode/agent/workspace';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { type CommandOrder, type CommandResult, FILES_ROOT, type FileTree } from './run-on-worker.ts';

/** A workspace that is a handful of files in memory: nothing it holds is on the disk of the server, and its commands run elsewhere. */
export interface MemoryWorkspace extends Workspace {
  files(): FileTree;
}

/**
 * @param runElsewhere runs a command over the files, and gives them back as it left them
 */
export function createMemoryWorkspace(
  begun: FileTree,
  runElsewhere: (order: Omit<CommandOrder, 'name'>, signal: AbortSignal) => Promise<CommandResult>,
): MemoryWorkspace {
  let files: FileTree = new Map(begun);
  const isFolder = (name: string): boolean => name === '' || [...files.keys()].some((file) => file.startsWith(`${name}/`));
  const contentOf = (name: string): Buffer => {
    const bytes = files.get(name);
    if (bytes) return bytes;
    throw isFolder(name) ? refuse('workspace.not_a_file', name, 'is a folder') : refuse('workspace.file_missing', name, 'does not exist');
  };
  const inside = (folder: string): [string, Buffer][] => {
    if (!isFolder(folder) && !files.has(folder)) throw refuse('workspace.file_missing', folder, 'does not exist');
    return [...files]
      .filter(([name]) => folder === '' || name === folder || name.startsWith(`${folder}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1));
  };
  const expect = (name: string, expected: string): void => {
    const bytes = files.get(name);
    if ((bytes ? hashOf(bytes) : ABSENT) !== expected) throw refuse('workspace.file_changed', name, 'was changed in the meantime');
  };

  return {
    root: FILES_ROOT,
    files: () => files,
    async readFile(name, maxBytes) {
      const bytes = contentOf(name);
      if (bytes.length > maxBytes) throw refuse('workspace.file_too_large', name, `has ${bytes.length} bytes, more than ${maxBytes}`);
      return { bytes, hash: hashOf(bytes) };
    },
    async writeFile(name, bytes, expected) {
      if (isFolder(name)) throw refuse('workspace.not_a_file', name, 'is a folder');
      if (name.split('/').some((_, index, parts) => index > 0 && files.has(parts.slice(0, index).join('/'))))
        throw refuse('workspace.not_a_file', name, 'lies in something that is no folder');
      expect(name, expected);
      const content = Buffer.from(bytes);
      files = new Map([...files, [name, content]]);
      return hashOf(content);
    },
    async removeFile(name, expected) {
      contentOf(name);
      expect(name, expected);
      files = new Map([...files].filter(([other]) => other !== name));
    },
    async list({ folder, depth, maxEntries }) {
      if (files.has(folder)) throw refuse('workspace.file_missing', folder, 'is no folder');
      const entries = new Map<string, FolderEntry>();
      for (const [name, bytes] of inside(folder)) {
        const parts = path.posix.relative(folder, name).split('/');
        for (let length = 1; length <= Math.min(depth, parts.length); length++) {
          const at = path.posix.join(folder, ...parts.slice(0, length));
          entries.set(at, length === parts.length ? { path: at, kind: 'file', bytes: bytes.length } : { path: at, kind: 'folder' });
        }
      }
      const sorted = [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
      return { entries: sorted.slice(0, maxEntries), leftOut: Math.max(0, sorted.length - maxEntries), isCounted: true };
    },
    async search({ pattern, path: within, glob, ignoreCase, maxMatches }) {
      let expression: RegExp;
      try {
        expression = new RegExp(pattern, ignoreCase ? 'i' : '');
      } catch (error) {
        throw new CodedError('workspace.pattern_refused', (error as Error).message, { cause: error });
      }
      const matches = inside(within)
        .filter(([name]) => glob === undefined || path.matchesGlob(glob.includes('/') ? name : path.posix.basename(name), glob))
        .flatMap(([name, bytes]) =>
          bytes
            .toString()
            .split('\n')
            .flatMap((text, index) => (expression.test(text) ? [{ path: name, line: index + 1, text }] : [])),
        );
      return { matches: matches.slice(0, maxMatches), isCut: matches.length > maxMatches };
    },
    async run({ command, folder, timeoutMs, headBytes, tailBytes }: RunRequest, signal): Promise<RunResult> {
      if (!isFolder(folder)) throw refuse('workspace.file_missing', folder, 'is no folder');
      const { exitCode, output, files: left } = await runElsewhere({ files, command, folder, timeoutMs }, signal);
      files = left;
      const captured = {
        head: output.subarray(0, headBytes),
        tail: output.subarray(Math.max(Math.min(headBytes, output.length), output.length - tailBytes)),
        totalBytes: output.length,
      };
      return exitCode === undefined ? { ending: 'timed_out', output: captured } : { ending: 'exited', exitCode, output: captured };
    },
    treeHash: async () =>
      hashOf(
        Buffer.from(
          inside('')
            .map(([name, bytes]) => `${name}\0${hashOf(bytes)}\n`)
            .join(''),
        ),
      ),
  };
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function refuse(code: ErrorCode, name: string, why: string): CodedError {
  return new CodedError(code, `${name} ${why}`);
}
