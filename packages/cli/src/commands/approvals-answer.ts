import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from '../helix-context.ts';
import { answerApproval } from '../sessions/answer-approval.ts';

export default function approvalsAnswer(this: HelixContext, _flags: object, id: string, words: string): Promise<void> {
  const text = words.trim();
  if (text === '') throw new CodedError('cli.bad_usage', 'the answer is empty', { next: `helix approvals answer ${id} "…"` });
  return answerApproval(this, id, { accept: true, text });
}
