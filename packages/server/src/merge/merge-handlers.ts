import type { TaskId } from '@helixcode/protocol/ids';
import type { MergeQueueView } from '@helixcode/protocol/merge/merge-view';
import type { Db } from '../db/db.ts';
import type { Handlers } from '../http/handler.ts';
import { getTask } from '../tasks/task-sql.ts';
import type { EntryRow, QueueRow } from './merge-row.ts';
import { listEntries, listQueues } from './merge-sql.ts';

export function mergeHandlers({ db }: { db: Db }): Pick<Handlers, 'tasks.merges'> {
  return {
    async 'tasks.merges'({ params }) {
      const { root_id: root } = await getTask(db, params.task as TaskId);
      const items = [];
      for (const queue of await listQueues(db, root)) items.push(viewQueue(queue, await listEntries(db, queue.id)));
      return { items };
    },
  };
}

function viewQueue(queue: QueueRow, entries: EntryRow[]): MergeQueueView {
  return {
    id: queue.id,
    project: queue.project_id,
    base: queue.base_commit,
    tip: queue.tip_commit,
    maxTries: queue.max_tries,
    entries: entries.map((entry) => ({
      id: entry.id,
      title: entry.title,
      task: entry.task_id,
      state: entry.state,
      try: entry.try,
      commit: entry.commit_hash,
      ...(entry.state === 'merged' && entry.made_commit !== null && { merged: entry.made_commit }),
      receipts: entry.receipts,
      ...(entry.returned && { returned: entry.returned }),
      ...(entry.failure && { failure: entry.failure }),
      createdAt: entry.created_at.toISOString(),
      ...(entry.finished_at && { finishedAt: entry.finished_at.toISOString() }),
    })),
  };
}
