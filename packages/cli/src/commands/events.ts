import type { Event } from '@helixcode/protocol/event/events';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatBytes } from '../output/amounts.ts';
import { oneLine } from '../output/text-width.ts';

interface Flags {
  topic: string;
  after?: number;
  follow: boolean;
}

const PAGE = 1_000;

export default async function events(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once('SIGINT', end);
  this.readerGone.addEventListener('abort', end);
  const all: Event[] = [];
  const show = (event: Event): void => {
    if (out.format === 'jsonl') out.json(event);
    else if (out.format === 'json') all.push(event);
    else
      out.line(
        [event.seq, event.at, event.body.type, event.task ?? event.worker ?? event.project ?? '', detailOf(event)]
          .map((part) => oneLine(String(part)))
          .join(out.isTty ? '  ' : '\t')
          .trimEnd(),
      );
  };
  try {
    if (flags.follow && out.format !== 'json') {
      const live = await connection.live();
      try {
        for await (const event of live.subscribe({
          topic: flags.topic,
          ...(flags.after !== undefined && { after: flags.after }),
          signal: stop.signal,
        }))
          show(event);
      } finally {
        live.close();
      }
    } else {
      for (let after = flags.after ?? 0; !stop.signal.aborted; ) {
        const { items } = await connection.call('events.list', { query: { topic: flags.topic, after, limit: PAGE } });
        items.forEach(show);
        if (items.length < PAGE) break;
        after = items.at(-1)?.seq ?? after;
      }
      if (out.format === 'json') out.json({ items: all });
    }
  } finally {
    process.off('SIGINT', end);
  }
}

/** What changed, in a few words; `--jsonl` has the whole. */
function detailOf({ body }: Event): string {
  switch (body.type) {
    case 'task.created':
      return `${body.kind} ${body.name}`;
    case 'task.moved':
      return `${body.from} -> ${body.to}${body.failure ? `: ${body.failure.message}` : body.reason ? `: ${body.reason}` : ''}`;
    case 'task.checkpoint':
      return `checkpoint ${body.number}${body.name === undefined ? '' : ` (${body.name})`}: ${formatBytes(body.bundleBytes)}${body.leftOutCount === 0 ? '' : `, ${body.leftOutCount} files left out`}`;
    case 'task.rolled_back':
      return body.to === 0 ? 'back to its commit' : `back to checkpoint ${body.to}`;
    case 'attempt.fenced':
      return `attempt ${body.number} on ${body.worker} does not count any more: ${body.reason.message}`;
    case 'attempt.readmitted':
      return `attempt ${body.number} on ${body.worker} counts again`;
    case 'task.waiting':
      return body.reason;
    case 'task.progress':
      return `${body.phase} ${body.done}/${body.total}`;
    case 'attempt.moved':
      return `attempt ${body.number} on ${body.worker}: ${body.to}${body.exitCode === undefined ? '' : ` ${body.exitCode}`}${body.reason ? `: ${body.reason.message}` : ''}`;
    case 'session.entry':
      return `${body.session} ${body.entry} ${body.what}`;
    case 'approval.asked':
      return `${body.approval} of ${body.session}: ${body.kind}: ${body.question}`;
    case 'approval.answered':
      return `${body.approval} of ${body.session}: ${body.isAccepted ? 'accepted' : 'refused'}`;
    case 'merge.opened':
      return `merge queue ${body.queue} at ${body.base.slice(0, 12)}`;
    case 'merge.moved':
      return `${body.title}: ${body.from === undefined ? '' : `${body.from} -> `}${body.to}${body.reason ? `: ${body.reason}` : ''}`;
    case 'worker.added':
      return `${body.name} (${body.transport})`;
    case 'worker.moved':
      return `${body.from} -> ${body.to}${body.reason ? `: ${body.reason.message}` : ''}`;
    case 'worker.admission':
      return body.to;
    case 'project.added':
      return body.name;
  }
}
