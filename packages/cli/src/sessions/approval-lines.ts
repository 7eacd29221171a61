import type { ApprovalView } from '@helixcode/protocol/api/session-views';
import type { Style } from '../output/style.ts';
import { oneLine, severalLines } from '../output/text-width.ts';
import { planLines } from './plan-lines.ts';

/** What a person is asked, with all there is to decide on. */
export function approvalLines({ kind, question, options, plan }: ApprovalView, style: Style): string[] {
  return [
    ...severalLines(question.trim()).map((line, index) => (index === 0 ? `${style.yellow(WHAT[kind])} ${style.bold(line)}` : line)),
    ...(plan === undefined ? [] : planLines(plan, style)),
    ...options.map((option, index) => `  ${index + 1}) ${oneLine(option)}`),
  ];
}

const WHAT: Record<ApprovalView['kind'], string> = {
  question: 'it asks:',
  plan: 'it shows a plan:',
  permission: 'it asks for leave:',
  parked: 'it stopped:',
};

/**
 * The command that lets it go on, as a person would type it.
 * @param parkedBecause code of what stopped it, where it stopped by itself: a limit has to be raised
 */
export function answeringCommand({ id, kind }: Pick<ApprovalView, 'id' | 'kind'>, parkedBecause?: string): string {
  if (kind === 'question') return `helix approvals answer ${id} "…"`;
  const more: Record<string, string> = {
    'budget.spent': ' --budget 10',
    'agent.turns_spent': ' --turns 50',
    'agent.time_spent': ' --minutes 60',
  };
  return `helix approvals accept ${id}${kind === 'parked' ? (more[parkedBecause ?? ''] ?? '') : ''}`;
}
