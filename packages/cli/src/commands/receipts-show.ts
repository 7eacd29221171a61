import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function receiptsShow(this: HelixContext, _flags: object, receipt: string): Promise<void> {
  const { out } = this;
  const signed = await (await connect(this)).call('receipts.get', { params: { receipt } });
  // The document is what is worth having: for people only laid out, so that it can be kept in a file.
  if (out.format === 'text') out.line(JSON.stringify(signed, null, 2));
  else out.json(signed);
  out.hint(`helix receipts verify ${signed.receipt.id}`);
}
