import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge } from '../output/amounts.ts';

export default async function status(this: HelixContext): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const server = await connection.call('server.get');
  if (out.format !== 'text') return out.json(server);
  const counts = (entries: Record<string, number>, none: string): string =>
    Object.entries(entries)
      .filter(([, count]) => count > 0)
      .map(([word, count]) => `${count} ${word}`)
      .join(', ') || none;
  const rows: [string, string][] = [
    ['server', `${server.url} (${server.version}, ${server.id})`],
    ['started', formatAge(server.startedAt, Date.now())],
    ['database', server.database],
    ['workers', counts(server.workers, 'none')],
    ['slots', `${server.slots.taken} of ${server.slots.total} taken`],
    ['tasks', counts(server.tasks, 'none under way')],
  ];
  for (const [name, value] of rows) out.line(out.isTty ? `${out.style.dim(name.padEnd(9))} ${value}` : `${name}\t${value}`);
  if (Object.keys(server.workers).length === 0) out.hint('helix workers add user@host');
}
