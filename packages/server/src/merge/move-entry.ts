import type { MergeState } from '@helixcode/protocol/merge/merge-state';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import type { MergeContext } from './merge-context.ts';
import type { EntryRow, QueueRow } from './merge-row.ts';

/**
 * Tells that an entry has moved, in the transaction of the move, and wakes its owner where it is the owner's turn.
 *
 * @param reason for people, in a sentence
 */
export async function tellMove(
  tx: Db,
  context: Pick<MergeContext, 'wakeEvents' | 'wakeDriver'>,
  queue: QueueRow,
  entry: EntryRow,
  from: MergeState | undefined,
  reason?: string,
): Promise<void> {
  await appendEvents(tx, [
    {
      root: queue.root_id,
      task: entry.task_id,
      project: queue.project_id,
      body: {
        type: 'merge.moved',
        queue: queue.id,
        entry: entry.id,
        title: entry.title,
        try: entry.try,
        ...(from !== undefined && { from }),
        to: entry.state,
        commit: entry.made_commit ?? entry.commit_hash,
        ...(reason !== undefined && { reason }),
      },
    },
  ]);
  const isOwnersTurn = entry.state === 'conflict' || entry.finished_at !== null;
  tx.afterCommit(() => {
    context.wakeEvents();
    if (!isOwnersTurn) return;
    context.wakeDriver(entry.task_id);
    if (queue.root_id !== entry.task_id) context.wakeDriver(queue.root_id);
  });
}
