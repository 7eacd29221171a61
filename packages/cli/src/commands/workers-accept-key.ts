import { CodedError } from '@helixcode/protocol/errors';
import { askYesNo } from '../ask.ts';
import { connect } from '../connect.ts';
import { followWorker } from '../follow/follow-worker.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function workersAcceptKey(this: HelixContext, _flags: object, name: string, fingerprint?: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const chosen = fingerprint ?? (await chooseKey(this, name, await connection.call('workers.get', { params: { worker: name } })));
  const worker = await connection.call('workers.accept-key', { params: { worker: name }, body: { fingerprint: chosen } });
  const end = await followWorker(this, connection, worker);
  if (out.format !== 'text') return out.json(end);
  out.note(`the key is pinned; worker ${end.name} is up`);
}

async function chooseKey(
  context: HelixContext,
  name: string,
  worker: { hostKeys: { type: string; fingerprint: string; accepted: boolean }[] },
): Promise<string> {
  const open = worker.hostKeys.filter((key) => !key.accepted);
  const [key] = open;
  if (key === undefined)
    throw new CodedError('cli.bad_usage', `worker ${name} has shown no key that waits to be accepted`, {
      next: `helix workers show ${name}`,
    });
  const next = `helix workers accept-key ${name} ${key.fingerprint}`;
  if (open.length > 1 || !context.canAsk)
    throw new CodedError(
      'cli.bad_usage',
      `name the key to trust: ${open.map(({ type, fingerprint }) => `${type} ${fingerprint}`).join(', ')}`,
      { next },
    );
  if (!(await askYesNo(context, `Trust the ${key.type} key ${key.fingerprint} of ${name}?`)))
    throw new CodedError('cli.declined', 'the key is not trusted', { next });
  return key.fingerprint;
}
