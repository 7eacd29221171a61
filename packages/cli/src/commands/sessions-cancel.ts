import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function sessionsCancel(this: HelixContext, _flags: object, id: string): Promise<void> {
  const { out } = this;
  const session = await (await connect(this)).call('sessions.cancel', { params: { session: id } });
  if (out.format !== 'text') return out.json({ session });
  out.note(`${session.title} (${session.id}) is ${session.state}`);
  out.hint(`helix sessions fork ${session.id}`);
}
