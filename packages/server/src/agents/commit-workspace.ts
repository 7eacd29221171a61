import { createHash } from 'node:crypto';
import type { FolderEntry, Workspace } from '@helixcode/agent/workspace';
import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectFiles } from '../tasks/testing/test-runner.ts';

/** The files of a commit as a workspace that can only be looked at: what a project says to agents is read before there is a checkout. */
export function commitWorkspace(files: ProjectFiles): Pick<Workspace, 'root' | 'readFile' | 'list'> {
  const missing = (path: string): CodedError => new CodedError('workspace.file_missing', `there is no ${path}`);
  return {
    root: '/',
    async readFile(path, maxBytes) {
      const size = files.sizeBytes(path);
      if (size === undefined) throw missing(path);
      if (size > maxBytes) throw new CodedError('workspace.file_too_large', `${path} has ${size} bytes, more than ${maxBytes}`);
      const bytes = Buffer.from((await files.read(path)) ?? '');
      return { bytes, hash: createHash('sha256').update(bytes).digest('hex') };
    },
    async list({ folder, depth, maxEntries }) {
      const below = folder === '' ? '' : `${folder}/`;
      const entries = new Map<string, FolderEntry>();
      for (const path of files.paths) {
        if (!path.startsWith(below)) continue;
        const parts = path.slice(below.length).split('/');
        for (let length = 1; length <= Math.min(depth, parts.length); length++) {
          const at = below + parts.slice(0, length).join('/');
          entries.set(at, { path: at, kind: length === parts.length ? 'file' : 'folder' });
        }
      }
      if (entries.size === 0 && folder !== '') throw missing(folder);
      const all = [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
      return { entries: all.slice(0, maxEntries), leftOut: Math.max(0, all.length - maxEntries), isCounted: true };
    },
  };
}
