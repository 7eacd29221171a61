import type { ProjectId } from '@helixcode/protocol/ids';
import type { Mirrors } from './mirror.ts';

/** Paths that differ between two commits of a project's mirror, by name. A file that was moved counts as both. */
export async function changedFiles(mirrors: Mirrors, project: ProjectId, from: string, to: string): Promise<string[]> {
  const args = [
    `--git-dir=${mirrors.folderOf(project)}`,
    'diff-tree',
    '-r',
    '-z',
    '--name-only',
    '--no-renames',
    '--end-of-options',
    from,
    to,
  ];
  return (await mirrors.git.run(args))
    .toString()
    .split('\0')
    .filter((path) => path !== '');
}
