import { CodedError } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { answeringCommand, approvalLines } from '../sessions/approval-lines.ts';

export default async function approvalsShow(this: HelixContext, _flags: object, id: string): Promise<void> {
  const { out } = this;
  const { items } = await (await connect(this)).call('approvals.list', { query: { all: true } });
  const approval = items.find((item) => item.id === id);
  if (approval === undefined)
    throw new CodedError('approval.not_found', `there is no approval ${id}`, { next: 'helix approvals list --all' });
  if (out.format !== 'text') return out.json(approval);
  for (const line of approvalLines(approval, out.style)) out.line(line);
  const { answer } = approval;
  if (answer) out.line(`${answer.isAccepted ? 'accepted' : 'refused'}${answer.text === undefined ? '' : `: ${answer.text}`}`);
  else out.hint(answeringCommand(approval));
}
