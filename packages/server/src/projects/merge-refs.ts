import type { MergeQueueId, ProjectId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { GitError } from './git.ts';
import { type Mirrors, SNAPSHOT_REFS } from './mirror.ts';
import { noteSnapshot } from './project-sql.ts';

/** `<queue>` below it is the newest commit of a merge queue. */
export const MERGE_REFS = 'refs/helix/merge';

/**
 * Keeps a commit as one that was handed over for tasks is kept.
 *
 * @throws GitError when the mirror does not have it
 */
export async function keepCommit(db: Db, mirrors: Mirrors, project: ProjectId, commit: string): Promise<void> {
  await noteSnapshot(db, project, commit);
  await mirrors.exclusively(project, () =>
    mirrors.git.run([`--git-dir=${mirrors.folderOf(project)}`, 'update-ref', `${SNAPSHOT_REFS}/${commit}`, commit]),
  );
}

/** Where the ref of a queue stands; `undefined` before it was first set. */
export async function readMergeRef(mirrors: Mirrors, project: ProjectId, queue: MergeQueueId): Promise<string | undefined> {
  try {
    const found = await mirrors.git.text([
      `--git-dir=${mirrors.folderOf(project)}`,
      'rev-parse',
      '--verify',
      '--quiet',
      `${MERGE_REFS}/${queue}`,
    ]);
    return found === '' ? undefined : found;
  } catch (error) {
    if (error instanceof GitError && error.exitCode === 1) return undefined;
    throw error;
  }
}

/**
 * Moves the ref of a queue.
 *
 * @param from where it was seen: a server that was slow, and was replaced meanwhile, does not set it back
 * @throws GitError when it is somewhere else by now
 */
export async function moveMergeRef(
  mirrors: Mirrors,
  project: ProjectId,
  queue: MergeQueueId,
  from: string | undefined,
  to: string,
): Promise<void> {
  // An all-zero hash stands for a ref that is not there.
  const old = from ?? '0'.repeat(to.length);
  await mirrors.exclusively(project, () =>
    mirrors.git.run([`--git-dir=${mirrors.folderOf(project)}`, 'update-ref', `${MERGE_REFS}/${queue}`, to, old]),
  );
}
