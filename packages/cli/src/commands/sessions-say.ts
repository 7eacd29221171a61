import { CodedError } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function sessionsSay(this: HelixContext, _flags: object, id: string, words: string): Promise<void> {
  const { out } = this;
  const text = words.trim();
  if (text === '') throw new CodedError('cli.bad_usage', 'nothing is said', { next: `helix sessions say ${id} "…"` });
  const session = await (await connect(this)).call('sessions.say', { params: { session: id }, body: { text } });
  if (out.format !== 'text') return out.json({ session });
  out.note(`session ${session.id} reads it before its next step`);
  out.hint(`helix sessions attach ${session.id}`);
}
