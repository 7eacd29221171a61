import { existsSync } from 'node:fs';
import type { ProjectId } from '@helixcode/protocol/ids';
import { listProjects } from '../projects/project-sql.ts';
import { dropRefs, listKeptRefs, pruneMirror } from '../projects/prune-mirror.ts';
import {
  adoptSnapshots,
  deleteSnapshots,
  listCheckpointKeepers,
  listNeededCommits,
  listOldSnapshots,
  listQueuesAmong,
} from './retention-sql.ts';
import type { Sweep } from './sweep.ts';
import type { Tally } from './tally.ts';

/**
 * Lets go of commits that nothing needs any more, and of the files of checkpoints that are given up, in the mirror of each
 * project. What changes a mirror waits meanwhile.
 *
 * @param tally of snapshots; checkpoints are counted where they are given up
 */
export async function collectRefs(sweep: Sweep, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  for (const { id } of await listProjects(sweep.db)) {
    signal?.throwIfAborted();
    if (existsSync(sweep.mirrors.folderOf(id))) await sweep.mirrors.exclusively(id, () => collectIn(sweep, id, tally));
  }
}

async function collectIn({ db, mirrors, dryRun, before, retention }: Sweep, project: ProjectId, tally: Tally): Promise<void> {
  const refs = await listKeptRefs(mirrors, project);
  const unusedSince = before(retention.snapshotDays);
  if (!dryRun) await adoptSnapshots(db, project, refs.snapshots);
  const here = new Set(refs.snapshots);
  const old = (await listOldSnapshots(db, project, unusedSince)).filter(({ commit_hash }) => here.has(commit_hash));
  if (dryRun) {
    for (const found of old) tally.add({ count: 1, bytes: found.bundle_bytes, oldest: found.used_at });
    return;
  }

  const commits = old.map(({ commit_hash }) => commit_hash);
  const gone = new Set(await deleteSnapshots(db, project, commits, unusedSince));
  for (const found of old) if (gone.has(found.commit_hash)) tally.add({ count: 1, bytes: found.bundle_bytes, oldest: found.used_at });

  const keepers = new Map(
    (await listCheckpointKeepers(db, [...new Set(refs.checkpoints.map(({ task }) => task))])).map((row) => [row.task_id, row]),
  );
  // One more may just be on its way for a task that goes on: its row follows its ref.
  const checkpoints = refs.checkpoints.filter(({ task, number }) => {
    const keeper = keepers.get(task);
    return !keeper || !(keeper.goes_on || keeper.numbers.includes(number));
  });
  const queues = await listQueuesAmong(db, refs.merges);
  const merges = refs.merges.filter((queue) => !queues.has(queue));
  if (gone.size + checkpoints.length + merges.length === 0) return;
  await dropRefs(mirrors, project, { snapshots: [...gone], checkpoints, merges }, await listNeededCommits(db, project, unusedSince));
  await pruneMirror(mirrors, project);
}
