import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function workersDrain(this: HelixContext, _flags: object, name: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const worker = await connection.call('workers.admission', { params: { worker: name }, body: { admission: 'draining' } });
  if (out.format !== 'text') return out.json(worker);
  out.note(`worker ${worker.name} gets no new work; what runs there ends normally`);
  out.hint(`helix workers open ${worker.name}`);
}
