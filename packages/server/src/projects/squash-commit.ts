import { randomUUID } from 'node:crypto';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { Mirrors } from './mirror.ts';

export interface SquashedChange {
  /** The commit it stands on. */
  base: string;
  /** The commit whose files it has. */
  files: string;
  /** The message: title, empty line, text. */
  message: string;
  at: Date;
}

/** One commit on a base with the files of another. The same change gives the same commit, wherever and how often it is made. */
export async function squashCommit(mirrors: Mirrors, project: ProjectId, { base, files, message, at }: SquashedChange): Promise<string> {
  const date = `${Math.floor(at.getTime() / 1000)} +0000`;
  const env = {
    GIT_AUTHOR_NAME: 'HelixCode',
    GIT_AUTHOR_EMAIL: 'helix@localhost',
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: 'HelixCode',
    GIT_COMMITTER_EMAIL: 'helix@localhost',
    GIT_COMMITTER_DATE: date,
  };
  const gitDir = `--git-dir=${mirrors.folderOf(project)}`;
  return mirrors.git.text([gitDir, 'commit-tree', '-p', base, '-F', '-', `${files}^{tree}`], { env, stdin: message });
}

/**
 * A git bundle of a commit and the one it stands on, for whoever has what that one stands on: the base may be a snapshot of uncommitted files, which no branch refers to.
 */
export async function bundleOf(mirrors: Mirrors, project: ProjectId, commit: string, base: string): Promise<Buffer> {
  const gitDir = `--git-dir=${mirrors.folderOf(project)}`;
  // A bundle is of refs; this one is nobody's but this call's.
  const ref = `refs/helix/bundles/${randomUUID()}`;
  await mirrors.git.run([gitDir, 'update-ref', ref, commit]);
  try {
    const parents = (await mirrors.git.text([gitDir, 'rev-parse', `${base}^@`])).split('\n').filter((line) => line !== '');
    return await mirrors.git.run([gitDir, 'bundle', 'create', '--quiet', '-', ref, ...parents.map((parent) => `^${parent}`)]);
  } finally {
    await mirrors.git.run([gitDir, 'update-ref', '-d', ref]);
  }
}
