import type { ApprovalAnswer } from '@helixcode/protocol/api/session-views';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

/** Answers what an agent asked, and says how to see what it makes of it. @throws CodedError `approval.not_found`, `approval.answered` */
export async function answerApproval(context: HelixContext, approval: string, body: Partial<ApprovalAnswer>): Promise<void> {
  const { out } = context;
  const answered = await (await connect(context)).call('approvals.answer', { params: { approval }, body });
  if (out.format !== 'text') return out.json(answered);
  out.note(`${answered.answer?.isAccepted === false ? 'refused' : 'accepted'}; session ${answered.session} hears of it`);
  out.hint(`helix sessions attach ${answered.session}`);
}
