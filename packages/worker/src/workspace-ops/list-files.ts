import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkspaceAnswers } from '@helixcode/protocol/worker/workspace';
import { type Git, WITHOUT_PROGRAMS } from '../workspace/git.ts';
import { realPathInside, refuse } from './inside-path.ts';

type Listing = WorkspaceAnswers['list'];

/**
 * What lies in a folder of the checkout and git does not ignore.
 * @throws CodedError `workspace.file_missing`, `workspace.path_refused`
 */
export async function listFiles(
  git: Git,
  root: string,
  { folder, depth, maxEntries }: { folder: string; depth: number; maxEntries: number },
): Promise<Listing> {
  const real = realPathInside(root, folder);
  if (!statSync(real, { throwIfNoEntry: false })?.isDirectory()) throw refuse('workspace.file_missing', folder, 'is no folder');
  const within = real === root ? '' : `${real.slice(root.length + 1)}/`;
  const shown = folder === '' ? '' : `${folder}/`;
  const ask = async (...which: string[]): Promise<string[]> => {
    const paths = within === '' ? [] : ['--', `:(top,literal)${within}`];
    const { stdout } = await git.run([...WITHOUT_PROGRAMS, 'ls-files', '-z', ...which, ...paths], {
      cwd: root,
      env: { GIT_OPTIONAL_LOCKS: '0' },
    });
    return stdout.toString('utf8').split('\0');
  };
  const [names, deleted] = await Promise.all([ask('--cached', '--others', '--exclude-standard'), ask('--deleted')]);
  const gone = new Set(deleted);
  const found = new Set<string>();
  for (const name of names) {
    if (name === '' || gone.has(name)) continue;
    const inside = name.slice(within.length);
    for (let level = 1, end = 0; level <= depth && end !== -1; level++) {
      end = inside.indexOf('/', end + 1);
      const path = end === -1 ? inside : inside.slice(0, end);
      // A repository of its own ends with a slash.
      if (path !== '') found.add(path);
      if (end === inside.length - 1) break;
    }
  }
  const paths = [...found].sort();
  const entries = paths.slice(0, maxEntries).flatMap((path) => entryAt(join(real, path), shown + path) ?? []);
  return { entries, leftOut: Math.max(0, paths.length - maxEntries), isCounted: true };
}

function entryAt(real: string, path: string): Listing['entries'][number] | undefined {
  const about = lstatSync(real, { throwIfNoEntry: false });
  if (!about) return undefined;
  if (about.isFile()) return { path, kind: 'file', bytes: about.size };
  return { path, kind: about.isDirectory() ? 'folder' : about.isSymbolicLink() ? 'link' : 'other' };
}
