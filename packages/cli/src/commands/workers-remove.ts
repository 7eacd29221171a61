import { confirm } from '../ask.ts';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  force?: boolean;
  yes?: boolean;
}

export default async function workersRemove(this: HelixContext, flags: Flags, name: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const worker = await connection.call('workers.get', { params: { worker: name } });
  if (!flags.yes)
    await confirm(
      this,
      `Remove worker ${worker.name} (${worker.address}) and what was installed there?`,
      `helix workers remove ${worker.name}`,
    );
  const answer = await connection.call('workers.remove', { params: { worker: worker.id }, query: { force: flags.force ?? false } });
  if (out.format !== 'text') return out.json(answer);
  out.note(`worker ${worker.name} is removed${answer.uninstalled ? '' : '; what was installed there could not be deleted'}`);
}
