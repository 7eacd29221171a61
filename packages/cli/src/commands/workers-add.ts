import { CodedError } from '@helixcode/protocol/errors';
import { readSecret } from '../ask.ts';
import { connect } from '../connect.ts';
import { followWorker } from '../follow/follow-worker.ts';
import type { HelixContext } from '../helix-context.ts';
import { countOf } from '../output/amounts.ts';
import { parseAddress } from '../worker-address.ts';

interface Flags {
  local?: string;
  name?: string;
  identity?: string;
  passwordStdin?: boolean;
  acceptFingerprint?: string;
  slots?: number;
  label?: readonly string[];
  wait?: number;
  detach?: boolean;
}

export default async function workersAdd(this: HelixContext, flags: Flags, address?: string): Promise<void> {
  if ((address === undefined) === (flags.local === undefined))
    throw new CodedError('cli.bad_usage', 'name either an address or --local and a name', { next: 'helix workers add --help' });
  const place = address === undefined ? undefined : parseAddress(address);
  const connection = await connect(this);
  const password = flags.passwordStdin ? await readSecret(this) : undefined;
  const worker = await connection.call('workers.add', {
    body: {
      name: flags.local ?? flags.name ?? place?.host ?? '',
      transport: place ? 'ssh' : 'local',
      ...place,
      ...(flags.identity !== undefined && { identityFile: flags.identity }),
      ...(flags.slots !== undefined && { slots: flags.slots }),
      ...(flags.label && { labels: [...flags.label] }),
      ...(password !== undefined && { password }),
      ...(flags.acceptFingerprint !== undefined && { acceptFingerprint: flags.acceptFingerprint }),
    },
  });
  const { out } = this;
  const end = flags.detach ? worker : await followWorker(this, connection, worker, flags.wait);
  if (out.format !== 'text') return out.json(end);
  if (flags.detach) out.hint(`helix workers show ${worker.name}`);
  else out.note(`worker ${end.name} is up with ${countOf(end.slots, 'slot')}: ${end.labels.join(', ')}`);
  out.line(end.name);
}
