import type { MergeQueueView } from '@helixcode/protocol/merge/merge-view';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

const HASH_DIGITS = 12;

export default async function tasksMerges(this: HelixContext, _flags: object, id: string): Promise<void> {
  const connection = await connect(this);
  const { items } = await connection.call('tasks.merges', { params: { task: id } });
  this.out.list(
    items.flatMap((queue) => queue.entries.map((entry) => ({ queue, entry }))),
    [
      { title: 'title', cell: ({ entry }) => entry.title },
      { title: 'state', cell: ({ entry }) => entry.state },
      { title: 'try', cell: ({ queue, entry }) => `${entry.try}/${queue.maxTries}` },
      { title: 'task', cell: ({ entry }) => entry.task },
      { title: 'merged as', cell: ({ entry }) => entry.merged?.slice(0, HASH_DIGITS) ?? '' },
      { title: 'why', cell: ({ entry }) => whyOf(entry) },
    ],
    { document: { items }, whenEmpty: 'nothing was handed in to be merged for this task' },
  );
}

function whyOf({ failure, returned }: MergeQueueView['entries'][number]): string {
  if (failure) return failure.message;
  if (!returned) return '';
  if (returned.why === 'verification') return returned.summary.split('\n')[0] ?? '';
  return returned.conflicts.map(({ path, kind }) => `${path} (${kind})`).join(', ');
}
