import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge } from '../output/amounts.ts';
import { lookOfState, standingOf } from '../worker-view.ts';

export default async function workersList(this: HelixContext): Promise<void> {
  const { items } = await (await connect(this)).call('workers.list');
  const nowMs = Date.now();
  this.out.list(
    items,
    [
      { title: 'name', cell: (worker) => worker.name },
      { title: 'state', cell: standingOf, look: (text, worker) => lookOfState(text, worker.state, this.out.style) },
      { title: 'running', cell: (worker) => `${worker.running}/${worker.slots}` },
      { title: 'address', cell: (worker) => worker.address },
      { title: 'seen', cell: (worker) => formatAge(worker.lastSeenAt, nowMs) },
      { title: 'labels', cell: (worker) => worker.labels.join(',') },
    ],
    { whenEmpty: 'there are no workers; `helix workers add user@host` makes a machine one' },
  );
}
