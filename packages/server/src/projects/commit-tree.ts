import type { ProjectId } from '@helixcode/protocol/ids';
import type { Mirrors } from './mirror.ts';

/** The hash of the tree of a commit, from the project's mirror. @throws GitError when the mirror does not have the commit */
export function treeOfCommit(mirrors: Mirrors, project: ProjectId, commit: string): Promise<string> {
  return mirrors.git.text([`--git-dir=${mirrors.folderOf(project)}`, 'rev-parse', '--verify', '--end-of-options', `${commit}^{tree}`]);
}
