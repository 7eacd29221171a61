import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge, formatBytes } from '../output/amounts.ts';

const CAUSES = { asked: 'asked for', interval: 'by the clock', end: 'at a bad end' } as const;

export default async function tasksCheckpoints(this: HelixContext, _flags: object, id: string): Promise<void> {
  const connection = await connect(this);
  const { items } = await connection.call('tasks.checkpoints', { params: { task: id } });
  const nowMs = Date.now();
  this.out.list(
    items,
    [
      { title: 'task', cell: (checkpoint) => checkpoint.task },
      { title: 'no.', cell: (checkpoint) => String(checkpoint.number) },
      { title: 'name', cell: (checkpoint) => checkpoint.name ?? '' },
      { title: 'taken', cell: (checkpoint) => formatAge(checkpoint.createdAt, nowMs) },
      { title: 'why', cell: (checkpoint) => CAUSES[checkpoint.cause] },
      { title: 'attempt', cell: (checkpoint) => String(checkpoint.attempt) },
      { title: 'files', cell: (checkpoint) => String(checkpoint.files) },
      { title: 'size', cell: (checkpoint) => (checkpoint.droppedAt === undefined ? formatBytes(checkpoint.bundleBytes) : 'dropped') },
      {
        title: 'left out',
        cell: (checkpoint) =>
          checkpoint.leftOutCount === 0 ? '' : `${checkpoint.leftOutCount}: ${checkpoint.leftOut.map((file) => file.path).join(', ')}`,
      },
    ],
    { document: { items }, whenEmpty: 'there are no checkpoints of this task' },
  );
}
