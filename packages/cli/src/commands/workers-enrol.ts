import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  slots?: number;
  label?: readonly string[];
  validMinutes?: number;
}

export default async function workersEnrol(this: HelixContext, flags: Flags, name: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const { worker, token, expiresAt } = await connection.call('workers.enrol', {
    body: {
      name,
      ...(flags.slots !== undefined && { slots: flags.slots }),
      ...(flags.label && { labels: [...flags.label] }),
      ...(flags.validMinutes !== undefined && { validMs: flags.validMinutes * 60_000 }),
    },
  });
  const join = `helix worker join ${connection.baseUrl} --token-stdin`;
  if (out.format !== 'text') return out.json({ worker, token, expiresAt, join });
  out.note(`until ${expiresAt}, one machine may join as ${worker.name} with this token; it is not shown again:`);
  out.line(token);
  out.note(`on that machine, with the token on stdin:\n  ${join}`);
  if (/^https?:\/\/(localhost|127\.|\[::1\])/.test(connection.baseUrl))
    out.note('with the address under which that machine reaches this server, in place of this one');
}
