import type { TaskState } from '@helixcode/protocol/task/task-state';
import { connect } from '../connect.ts';
import { renderState } from '../follow/render-tree.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge } from '../output/amounts.ts';

interface Flags {
  state?: TaskState;
  project?: string;
  limit: number;
}

const LARGEST_PAGE = 500;

export default async function tasksList(this: HelixContext, flags: Flags): Promise<void> {
  const { style } = this.out;
  const connection = await connect(this);
  const { items, cursor } = await connection.call('tasks.list', {
    query: {
      limit: Math.min(LARGEST_PAGE, Math.max(1, flags.limit)),
      ...(flags.state !== undefined && { state: flags.state }),
      ...(flags.project !== undefined && { project: flags.project }),
    },
  });
  const nowMs = Date.now();
  this.out.list(
    items,
    [
      { title: 'id', cell: (task) => task.id },
      {
        title: 'state',
        cell: (task) => task.state,
        look: (text, task) => renderState(task.state, style) + ' '.repeat(Math.max(0, text.length - task.state.length)),
      },
      { title: 'kind', cell: (task) => task.kind },
      { title: 'created', cell: (task) => formatAge(task.createdAt, nowMs) },
      { title: 'name', cell: (task) => (task.waitingFor === undefined ? task.name : `${task.name} (${task.waitingFor})`) },
    ],
    { document: { items, ...(cursor !== undefined && { cursor }) }, whenEmpty: 'there are no tasks' },
  );
  if (cursor !== undefined) this.out.hint(`there are more: helix tasks list --limit ${Math.min(LARGEST_PAGE, flags.limit * 2)}`);
}
