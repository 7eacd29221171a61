import { connect } from '../connect.ts';
import { exitStatusOf, followTask } from '../follow/follow-task.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  detach?: boolean;
}

export default async function tasksRetry(this: HelixContext, flags: Flags, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const task = await connection.call('tasks.retry', { params: { task: id } });
  const end = flags.detach ? undefined : await followTask(this, connection, task);
  if (end) this.exitStatus = exitStatusOf(end);
  if (out.format !== 'text') return out.json(end ?? task);
  out.note(end ? `${end.name} is ${end.state}${end.failure ? `: ${end.failure.message}` : ''}` : `${task.name} runs again`);
  out.hint(`helix tasks show ${id}`);
}
