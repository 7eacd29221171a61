import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  elsewhere?: boolean;
}

export default async function tasksResume(this: HelixContext, { elsewhere = false }: Flags, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const task = await connection.call('tasks.resume', { params: { task: id }, body: { elsewhere } });
  if (out.format !== 'text') return out.json(task);
  out.note(`${task.name} (${task.id}) goes on${elsewhere ? ', its critical part on another worker' : ''}`);
  out.hint(`helix tasks show ${id} --follow`);
}
