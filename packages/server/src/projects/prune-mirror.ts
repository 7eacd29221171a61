import type { MergeQueueId, ProjectId, TaskId } from '@helixcode/protocol/ids';
import { TASK_REFS } from './checkpoint-refs.ts';
import { GitError } from './git.ts';
import { MERGE_REFS } from './merge-refs.ts';
import { type Mirrors, SNAPSHOT_REFS } from './mirror.ts';

/**
 * Objects younger than this stay although nothing refers to them: a bundle that is still arriving builds on what was there
 * when it was made, and its own folder is one of git's unfinished ones.
 */
const PRUNE_GRACE = '1.day.ago';

export interface CheckpointRef {
  task: TaskId;
  number: number;
}

/** What the mirror keeps beside the branches and tags of the source. */
export interface KeptRefs {
  snapshots: string[];
  checkpoints: CheckpointRef[];
  /** Tips of merge queues. */
  merges: MergeQueueId[];
}

/** To be called within `mirrors.exclusively`, as the two below, so that nothing is added in between. */
export async function listKeptRefs(mirrors: Mirrors, project: ProjectId): Promise<KeptRefs> {
  const kept: KeptRefs = { snapshots: [], checkpoints: [], merges: [] };
  const gitDir = `--git-dir=${mirrors.folderOf(project)}`;
  const names = await mirrors.git.text([gitDir, 'for-each-ref', '--format=%(refname)', SNAPSHOT_REFS, TASK_REFS, MERGE_REFS]);
  for (const name of names.split('\n')) {
    if (name.startsWith(`${SNAPSHOT_REFS}/`)) kept.snapshots.push(name.slice(SNAPSHOT_REFS.length + 1));
    else if (name.startsWith(`${MERGE_REFS}/`)) kept.merges.push(name.slice(MERGE_REFS.length + 1) as MergeQueueId);
    else if (name.startsWith(`${TASK_REFS}/`)) {
      const [task, number] = name.slice(TASK_REFS.length + 1).split('/');
      kept.checkpoints.push({ task: task as TaskId, number: Number(number) });
    }
  }
  return kept;
}

/**
 * Lets go of snapshots, checkpoints and tips of queues.
 *
 * @param needed commits that must stay: one that only what goes now leads to gets a ref of its own first
 */
export async function dropRefs(mirrors: Mirrors, project: ProjectId, gone: KeptRefs, needed: readonly string[]): Promise<void> {
  const names = [
    ...gone.snapshots.map((commit) => `${SNAPSHOT_REFS}/${commit}`),
    ...gone.checkpoints.map(({ task, number }) => `${TASK_REFS}/${task}/${number}`),
    ...gone.merges.map((queue) => `${MERGE_REFS}/${queue}`),
  ];
  if (names.length === 0) return;
  const gitDir = `--git-dir=${mirrors.folderOf(project)}`;
  const pins = await onlyReachableFrom(mirrors, gitDir, new Set(names), needed);
  const lines = [...pins.map((commit) => `update ${SNAPSHOT_REFS}/${commit} ${commit}\n`), ...names.map((name) => `delete ${name}\n`)];
  await mirrors.git.run([gitDir, 'update-ref', '--stdin'], { stdin: lines.join('') });
}

/** Removes old objects that nothing refers to any more. */
export async function pruneMirror(mirrors: Mirrors, project: ProjectId): Promise<void> {
  await mirrors.git.run([`--git-dir=${mirrors.folderOf(project)}`, 'gc', '--quiet', `--prune=${PRUNE_GRACE}`]);
}

/** Of the needed commits, those that no other ref leads to. */
async function onlyReachableFrom(
  mirrors: Mirrors,
  gitDir: string,
  gone: ReadonlySet<string>,
  needed: readonly string[],
): Promise<string[]> {
  if (needed.length === 0) return [];
  const refs = (await mirrors.git.text([gitDir, 'for-each-ref', '--format=%(refname) %(objectname)']))
    .split('\n')
    .map((line) => line.split(' '));
  const staying = refs.flatMap(([name, object]) => (name && object && !gone.has(name) ? [object] : []));
  const stdin = needed.map((commit) => `${commit}\n`).join('');
  const here = (await mirrors.git.text([gitDir, 'cat-file', '--batch-check'], { stdin }))
    .split('\n')
    .flatMap((line) => /^([0-9a-f]+) commit /.exec(line)?.[1] ?? []);
  if (here.length === 0) return [];
  try {
    const lonely = await mirrors.git.text([gitDir, 'rev-list', '--stdin'], {
      stdin: [...here, ...staying.map((object) => `^${object}`)].map((line) => `${line}\n`).join(''),
    });
    const found = new Set(lonely.split('\n'));
    return here.filter((commit) => found.has(commit));
  } catch (error) {
    // A history that cannot be walked: then every needed commit is held by itself.
    if (error instanceof GitError) return here;
    throw error;
  }
}
