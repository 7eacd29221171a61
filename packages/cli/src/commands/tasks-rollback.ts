import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  to: string;
}

export default async function tasksRollback(this: HelixContext, { to }: Flags, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const task = await connection.call('tasks.rollback', { params: { task: id }, body: { to: /^\d+$/.test(to) ? Number(to) : to } });
  if (out.format !== 'text') return out.json(task);
  const where = to === '0' ? 'its commit' : `checkpoint ${to}`;
  const isOver = task.state === 'failed' || task.state === 'cancelled';
  out.note(isOver ? `${task.name} (${task.id}) begins at ${where} when it is retried` : `${task.name} (${task.id}) goes on from ${where}`);
  out.hint(isOver ? `helix tasks retry ${id}` : `helix tasks show ${id} --follow`);
}
