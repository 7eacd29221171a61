import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { followSession } from '../sessions/follow-session.ts';
import { reportEnd } from '../sessions/report-end.ts';

interface Flags {
  /** Milliseconds. */
  wait?: number;
  yes?: boolean;
  last: number;
}

export default async function sessionsAttach(this: HelixContext, flags: Flags, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const session = await connection.call('sessions.get', { params: { session: id } });
  if (out.format === 'jsonl') out.json({ session });
  out.note(`session ${session.id} on ${connection.baseUrl}, with ${session.model}`);
  const options = { waitMs: flags.wait, agrees: flags.yes ?? false, shownBefore: flags.last };
  const followed = await followSession(this, connection, session.id, options);
  if (followed) await reportEnd(this, connection, followed);
}
