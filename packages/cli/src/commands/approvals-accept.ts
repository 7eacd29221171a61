import type { HelixContext } from '../helix-context.ts';
import { answerApproval } from '../sessions/answer-approval.ts';

interface Flags {
  text?: string;
  turns?: number;
  minutes?: number;
  budget?: number;
}

export default function approvalsAccept(this: HelixContext, { text, turns, minutes, budget }: Flags, id: string): Promise<void> {
  return answerApproval(this, id, {
    accept: true,
    ...(text !== undefined && { text }),
    ...(turns !== undefined && { turns }),
    ...(minutes !== undefined && { minutes }),
    ...(budget !== undefined && { budgetUsd: budget }),
  });
}
