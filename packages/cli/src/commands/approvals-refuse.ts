import type { HelixContext } from '../helix-context.ts';
import { answerApproval } from '../sessions/answer-approval.ts';

interface Flags {
  text?: string;
}

export default function approvalsRefuse(this: HelixContext, { text }: Flags, id: string): Promise<void> {
  return answerApproval(this, id, { accept: false, ...(text !== undefined && { text }) });
}
