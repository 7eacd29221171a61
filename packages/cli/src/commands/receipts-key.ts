import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function receiptsKey(this: HelixContext): Promise<void> {
  const { out } = this;
  const answer = await (await connect(this)).call('receipts.key');
  if (out.format !== 'text') return out.json(answer);
  await out.write(answer.items.find(({ id }) => id === answer.current)?.publicKey ?? '');
}
