import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function workersOpen(this: HelixContext, _flags: object, name: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const worker = await connection.call('workers.admission', { params: { worker: name }, body: { admission: 'open' } });
  if (out.format !== 'text') return out.json(worker);
  out.note(`worker ${worker.name} gets work again`);
}
