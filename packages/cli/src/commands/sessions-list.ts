import type { SessionView } from '@helixcode/protocol/api/session-views';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge, formatUsd } from '../output/amounts.ts';
import { renderSessionState } from '../sessions/session-state.ts';

interface Flags {
  project?: string;
  limit: number;
}

const LARGEST_PAGE = 500;

export default async function sessionsList(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const { items, cursor } = await connection.call('sessions.list', {
    query: {
      limit: Math.min(LARGEST_PAGE, Math.max(1, flags.limit)),
      ...(flags.project !== undefined && { project: flags.project }),
    },
  });
  const nowMs = Date.now();
  const look = (text: string, { state }: SessionView): string =>
    renderSessionState(state, out.style) + ' '.repeat(Math.max(0, text.length - state.length));
  out.list(
    items,
    [
      { title: 'id', cell: (session) => session.id },
      { title: 'state', cell: (session) => session.state, look },
      { title: 'model', cell: (session) => session.model },
      { title: 'turns', cell: (session) => String(session.turns) },
      { title: 'cost', cell: (session) => (session.costUsd === undefined ? '?' : formatUsd(session.costUsd)) },
      { title: 'created', cell: (session) => formatAge(session.createdAt, nowMs) },
      { title: 'title', cell: (session) => (session.waitsFor === undefined ? session.title : `${session.title} (${session.waitsFor})`) },
    ],
    { document: { items, ...(cursor !== undefined && { cursor }) }, whenEmpty: 'there are no sessions' },
  );
  if (cursor !== undefined) out.hint(`there are more: helix sessions list --limit ${Math.min(LARGEST_PAGE, flags.limit * 2)}`);
}
