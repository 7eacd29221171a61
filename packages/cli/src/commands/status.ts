import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge } from '../output/amounts.ts';

export default async function status(this: HelixContext): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const [server, { items: servers }] = await Promise.all([connection.call('server.get'), connection.call('servers.list')]);
  if (out.format !== 'text') return out.json({ ...server, servers });
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
  if (servers.length > 1)
    out.list(
      servers,
      [
        { title: 'server', cell: ({ url, id }) => url || id },
        { title: 'state', cell: ({ state }) => state },
        { title: 'workers', cell: ({ workers }) => String(workers) },
        { title: 'release', cell: ({ version }) => version },
        { title: 'started', cell: ({ since }) => formatAge(since, Date.now()) },
      ],
      { whenEmpty: 'there are no servers' },
    );
  if (Object.keys(server.workers).length === 0) out.hint('helix workers add user@host');
}
