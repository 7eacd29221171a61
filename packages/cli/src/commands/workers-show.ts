import { connect } from '../connect.ts';
import { refusalOf } from '../follow/follow-worker.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge, formatBytes } from '../output/amounts.ts';
import { oneLine } from '../output/text-width.ts';
import { standingOf } from '../worker-view.ts';

export default async function workersShow(this: HelixContext, _flags: object, name: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const worker = await connection.call('workers.get', { params: { worker: name } });
  const { items: events } = await connection.call('workers.events', { params: { worker: name }, query: { limit: 20 } });
  if (out.format !== 'text') return out.json({ ...worker, connectivity: events });
  const nowMs = Date.now();
  const { facts, load } = worker;
  const rows: [string, string | undefined][] = [
    ['name', worker.name],
    ['id', worker.id],
    ['state', standingOf(worker)],
    ['address', worker.address],
    ['running', `${worker.running} of ${worker.slots} slots`],
    ['seen', formatAge(worker.lastSeenAt, nowMs)],
    ['labels', worker.labels.join(', ')],
    [
      'machine',
      facts &&
        `${facts.hostname}: ${facts.os} ${facts.kernel} ${facts.arch}, ${facts.libc}, ${facts.cores} cores, ${formatBytes(facts.memoryBytes)} memory`,
    ],
    [
      'load',
      load &&
        `${load.load1.toFixed(1)}, ${Math.round(load.cpuPercent)} % processor, ${formatBytes(load.memoryFreeBytes)} memory and ${formatBytes(load.diskFreeBytes)} disk free`,
    ],
    ...worker.hostKeys.map((key): [string, string] => [
      'host key',
      `${key.type} ${key.fingerprint} ${key.accepted ? 'accepted' : 'not accepted'}`,
    ]),
    ['agent', worker.agent],
  ];
  for (const [title, value] of rows)
    if (value !== undefined) out.line(out.isTty ? `${out.style.dim(title.padEnd(9))} ${oneLine(value)}` : `${title}\t${oneLine(value)}`);
  for (const event of events)
    out.line(
      [event.at, `${event.from} -> ${event.to}`, event.command, oneLine(event.reason?.message ?? '')]
        .join(out.isTty ? '  ' : '\t')
        .trimEnd(),
    );
  if (worker.reason && worker.state !== 'up') {
    const { message, next } = refusalOf(worker);
    out.note(message);
    if (next !== undefined) out.hint(next);
  }
}
