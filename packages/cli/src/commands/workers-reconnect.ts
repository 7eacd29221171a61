import { readSecret } from '../ask.ts';
import { connect } from '../connect.ts';
import { followWorker } from '../follow/follow-worker.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  passwordStdin?: boolean;
  wait?: number;
  detach?: boolean;
}

export default async function workersReconnect(this: HelixContext, flags: Flags, name: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const password = flags.passwordStdin ? await readSecret(this) : undefined;
  const worker = await connection.call('workers.reconnect', { params: { worker: name }, body: password === undefined ? {} : { password } });
  const end = flags.detach ? worker : await followWorker(this, connection, worker, flags.wait);
  if (out.format !== 'text') return out.json(end);
  out.note(flags.detach ? `worker ${end.name} is dialled` : `worker ${end.name} is up`);
}
