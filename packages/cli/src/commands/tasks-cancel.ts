import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function tasksCancel(this: HelixContext, _flags: object, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const task = await connection.call('tasks.cancel', { params: { task: id } });
  if (out.format !== 'text') return out.json(task);
  out.note(`${task.name} (${task.id}) is ${task.state}`);
  out.hint(`helix tasks retry ${task.id}`);
}
