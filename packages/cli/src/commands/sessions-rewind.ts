import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  to: number;
}

export default async function sessionsRewind(this: HelixContext, { to }: Flags, id: string): Promise<void> {
  const { out } = this;
  const session = await (await connect(this)).call('sessions.rewind', { params: { session: id }, body: { entry: to } });
  if (out.format !== 'text') return out.json({ session });
  out.note(`session ${id} is back at #${to}, conversation and files; what came after can be forked`);
  out.hint(`helix sessions say ${id} "…"; helix sessions attach ${id}`);
}
