import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function configShow(this: HelixContext): Promise<void> {
  const { values } = await (await connect(this)).call('server.config');
  this.out.list(
    values,
    [
      { title: 'key', cell: (value) => value.key },
      { title: 'value', cell: (value) => (typeof value.value === 'string' ? value.value : JSON.stringify(value.value)) },
      { title: 'origin', cell: (value) => value.origin },
    ],
    { document: { values } },
  );
}
