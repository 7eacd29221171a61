import type { ErrorFact } from '@helixcode/protocol/errors';
import type { MergeQueueId } from '@helixcode/protocol/ids';
import type { MergeReturn } from '@helixcode/protocol/merge/merge-view';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import { GitError } from '../projects/git.ts';
import { keepCommit, moveMergeRef, readMergeRef } from '../projects/merge-refs.ts';
import { getTask } from '../tasks/task-sql.ts';
import { commitMerged, mergeCommits } from './merge-commits.ts';
import type { MergeContext } from './merge-context.ts';
import type { EntryRow, QueueRow } from './merge-row.ts';
import {
  findNextEntry,
  getQueue,
  giveBackEntry,
  listOpenEntries,
  lockQueue,
  mergeEntry,
  proposeEntry,
  refuseEntry,
  setRefCommit,
  setTip,
  takeEntry,
} from './merge-sql.ts';
import { tellMove } from './move-entry.ts';

/**
 * One step of a queue: looks at its rows, does what comes next, writes it in one transaction. What the step has done to the mirror
 * before that is done again in the same way after a crash: the same change onto the same commit makes the same commit.
 *
 * @param signal ends the wait for a verdict
 * @returns whether there may be a next step
 */
export async function advanceQueue(context: MergeContext, id: MergeQueueId, signal: AbortSignal): Promise<boolean> {
  const queue = await getQueue(context.db, id);
  if (queue.ref_commit !== queue.tip_commit) {
    await bringRef(context, id);
    return true;
  }
  const root = await getTask(context.db, queue.root_id);
  if (isSettled(root.state)) return closeQueue(context, id, `${root.name} is ${root.state}`);
  if (root.state === 'paused') return false;
  const entry = await findNextEntry(context.db, id);
  if (!entry) return false;
  switch (entry.state) {
    case 'waiting':
      await take(context, entry);
      return true;
    case 'merging':
      await merge(context, queue, entry);
      return true;
    default:
      await judge(context, queue, entry, signal);
      return true;
  }
}

/** Ends an entry whose step cannot be done. */
export async function refuse(context: MergeContext, id: MergeQueueId, entry: EntryRow, failure: ErrorFact): Promise<void> {
  await context.db.tx(async (tx) => {
    const queue = await lockQueue(tx, id);
    const refused = await refuseEntry(tx, entry, failure, null);
    if (refused) await tellMove(tx, context, queue, refused, entry.state, failure.message);
  });
}

/** The ref follows the row, which is written first: a server that was replaced meanwhile is stopped there, and its ref is not moved. */
export async function bringRef({ db, mirrors }: MergeContext, id: MergeQueueId): Promise<void> {
  const { project_id: project, tip_commit: tip } = await getQueue(db, id);
  const at = await readMergeRef(mirrors, project, id);
  try {
    if (at !== tip) await moveMergeRef(mirrors, project, id, at, tip);
  } catch (error) {
    // Another server may have brought it there.
    if (!(error instanceof GitError) || (await readMergeRef(mirrors, project, id)) !== tip) throw error;
  }
  await setRefCommit(db, id, tip);
}

/** Its tree is over: nobody waits for what is not merged. */
async function closeQueue(context: MergeContext, id: MergeQueueId, why: string): Promise<boolean> {
  return context.db.tx(async (tx) => {
    const queue = await lockQueue(tx, id);
    const open = await listOpenEntries(tx, id);
    for (const entry of open) {
      const failure: ErrorFact = { code: 'merge.closed', message: `${entry.title} was not merged: ${why}` };
      const refused = await refuseEntry(tx, entry, failure, null);
      if (refused) await tellMove(tx, context, queue, refused, entry.state, failure.message);
    }
    return open.length > 0;
  });
}

async function take(context: MergeContext, entry: EntryRow): Promise<void> {
  await context.db.tx(async (tx) => {
    const queue = await lockQueue(tx, entry.queue_id);
    // Another server may have been quicker.
    if ((await findNextEntry(tx, queue.id))?.id !== entry.id) return;
    const taken = await takeEntry(tx, entry);
    if (taken) await tellMove(tx, context, queue, taken, 'waiting');
  });
}

async function merge(context: MergeContext, queue: QueueRow, entry: EntryRow): Promise<void> {
  const { db, mirrors } = context;
  const gitDir = mirrors.folderOf(queue.project_id);
  const onto = queue.tip_commit;
  const merged = await mergeCommits(mirrors.git, gitDir, onto, entry.commit_hash);
  switch (merged.is) {
    case 'contained':
      return db.tx(async (tx) => {
        if (!(await isStillOnto(tx, queue))) return;
        const done = await mergeEntry(tx, entry, { onto, made: onto, receipts: [] });
        if (done) await tellMove(tx, context, queue, done, 'merging');
      });
    case 'unrelated':
      return refuse(context, queue.id, entry, {
        code: 'merge.unrelated',
        message: `commit ${entry.commit_hash.slice(0, 12)} has no common history with the queue`,
      });
    case 'conflict':
      return giveBack(context, queue, entry, { why: 'conflict', onto, conflicts: merged.conflicts, more: merged.more });
    case 'clean': {
      const { title, task_id: task, entered_at: at } = entry;
      const made = await commitMerged(mirrors.git, gitDir, { tree: merged.tree, onto, title, task, at });
      await keepCommit(db, mirrors, queue.project_id, made);
      return db.tx(async (tx) => {
        if (!(await isStillOnto(tx, queue))) return;
        const proposed = await proposeEntry(tx, entry, onto, made);
        if (proposed) await tellMove(tx, context, queue, proposed, 'merging');
      });
    }
  }
}

/** Has what came out verified; only then the tip moves on. */
async function judge(context: MergeContext, queue: QueueRow, entry: EntryRow, signal: AbortSignal): Promise<void> {
  const { db } = context;
  const { made_commit: made, onto_commit: onto } = entry;
  if (made === null || onto === null) throw new Error(`entry ${entry.id} is being verified without a commit`);
  const verdict = await context.verify({
    entry: entry.id,
    try: entry.try,
    title: entry.title,
    root: queue.root_id,
    project: queue.project_id,
    commit: made,
    signal,
  });
  if (!verdict.passed) return giveBack(context, queue, entry, { why: 'verification', onto, commit: made, summary: verdict.summary });
  const isMerged = await db.tx(async (tx) => {
    if (!(await isStillOnto(tx, { id: queue.id, tip_commit: onto }))) return false;
    const merged = await mergeEntry(tx, entry, { onto, made, receipts: verdict.receipts });
    if (!merged) return false;
    await setTip(tx, queue.id, made);
    await tellMove(tx, context, queue, merged, 'verifying');
    return true;
  });
  if (isMerged) await bringRef(context, queue.id);
}

/** Locks the queue; what was done onto another tip than its own does not count. */
async function isStillOnto(tx: Db, queue: Pick<QueueRow, 'id' | 'tip_commit'>): Promise<boolean> {
  return (await lockQueue(tx, queue.id)).tip_commit === queue.tip_commit;
}

async function giveBack(context: MergeContext, queue: QueueRow, entry: EntryRow, returned: MergeReturn): Promise<void> {
  const reason = reasonOf(returned);
  await context.db.tx(async (tx) => {
    if (!(await isStillOnto(tx, { id: queue.id, tip_commit: returned.onto }))) return;
    const failure: ErrorFact = {
      code: 'merge.tries_spent',
      message: `${entry.title} did not fit in ${queue.max_tries} tries; at the last: ${reason}`,
    };
    const moved = entry.try < queue.max_tries ? await giveBackEntry(tx, entry, returned) : await refuseEntry(tx, entry, failure, returned);
    if (moved) await tellMove(tx, context, queue, moved, entry.state, moved.state === 'refused' ? failure.message : reason);
  });
}

function reasonOf(returned: MergeReturn): string {
  if (returned.why === 'verification') return returned.summary.split('\n')[0] ?? '';
  const paths = returned.conflicts.map(({ path }) => path);
  const shown = paths.slice(0, 3).join(', ');
  const more = paths.length - 3 + returned.more;
  return `it conflicts in ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}
