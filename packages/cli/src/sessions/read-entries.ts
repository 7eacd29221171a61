import type { Client } from '@helixcode/client/http-client';
import type { SessionEntryView } from '@helixcode/protocol/api/session-views';

const PAGE = 1_000;

/** What was said and done behind an entry, oldest first; from the beginning behind 0. */
export async function readEntries(client: Client, session: string, after: number): Promise<SessionEntryView[]> {
  const entries: SessionEntryView[] = [];
  for (let last = after; ; ) {
    const { items } = await client.call('sessions.entries', { params: { session }, query: { after: last, limit: PAGE } });
    entries.push(...items);
    if (items.length < PAGE) return entries;
    last = items.at(-1)?.id ?? last;
  }
}
