import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  at?: number;
}

export default async function sessionsFork(this: HelixContext, { at }: Flags, id: string, words = ''): Promise<void> {
  const { out } = this;
  const text = words.trim();
  const session = await (await connect(this)).call('sessions.fork', {
    params: { session: id },
    body: { ...(at !== undefined && { entry: at }), ...(text !== '' && { text }) },
  });
  if (out.format !== 'text') return out.json({ session });
  out.note(`a new session begins where ${id} ${at === undefined ? 'stands' : `was at #${at}`}, conversation and files; ${id} is as it was`);
  out.line(session.id);
  out.hint(text === '' ? `helix sessions say ${session.id} "…"` : `helix sessions attach ${session.id}`);
}
