import { formatMs } from '../output/amounts.ts';
import { oneLine } from '../output/text-width.ts';
import type { Change, TaskModel, TaskNode } from './task-model.ts';

/** A change as one line of a log, or `undefined` where it is not worth one. */
export function changeLine(change: Change, model: TaskModel): string | undefined {
  if (change.type === 'failedTest') {
    const { unit, file = unit, line, name, message } = change.test;
    const said = message?.split('\n', 1)[0];
    return `failed test: ${oneLine(file)}${line === undefined ? '' : `:${line}`} ${oneLine(name)}${said ? `: ${oneLine(said)}` : ''}`;
  }
  // What is waited for is told once the wait has become long; progress is told by the subtasks that end.
  if (change.type !== 'state') return undefined;
  const { node, from } = change;
  const name = oneLine(node.name);
  switch (node.state) {
    case 'running':
      return `running: ${name}`;
    case 'failed':
      return `failed: ${name}${place(node)}${duration(node)}${node.failure ? `: ${oneLine(node.failure.message)}` : ''}`;
    case 'completed': {
      const { progress } = model.nodes.get(model.root) ?? {};
      const standing = node.id !== model.root && progress && progress.total > 0 ? ` [${progress.done}/${progress.total}]` : '';
      return `completed: ${name}${place(node)}${duration(node)}${standing}`;
    }
    case 'cancelled':
      return `cancelled: ${name}`;
    case 'paused':
      return `paused: ${name}${node.waitingFor === undefined ? '' : `: ${oneLine(node.waitingFor)}`}`;
    case 'pending':
      return from === 'blocked' ? undefined : `waiting again: ${name}`;
    case 'blocked':
      return undefined;
  }
}

function place(node: TaskNode): string {
  return node.worker === undefined ? '' : ` on ${oneLine(node.worker)}`;
}

function duration(node: TaskNode): string {
  return node.startedMs === undefined || node.finishedMs === undefined ? '' : ` (${formatMs(node.finishedMs - node.startedMs)})`;
}
