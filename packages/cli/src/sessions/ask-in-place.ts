import type { ApprovalAnswer, ApprovalView } from '@helixcode/protocol/api/session-views';
import { askLine, isYes } from '../ask.ts';
import type { HelixContext } from '../helix-context.ts';
import { approvalLines } from './approval-lines.ts';

export interface InPlace {
  /** Takes the question back: it was answered elsewhere, or nobody listens any more. */
  signal: AbortSignal;
  onInterrupt: () => void;
  /** Code of what stopped it, where it stopped by itself. */
  parkedBecause: string | undefined;
}

/** Asks the person at the terminal. @returns `undefined` where they leave it open */
export async function askInPlace(
  context: HelixContext,
  approval: ApprovalView,
  { signal, onInterrupt, parkedBecause }: InPlace,
): Promise<Partial<ApprovalAnswer> | undefined> {
  // Why it stopped by itself stands in the conversation already.
  if (approval.kind !== 'parked') for (const line of approvalLines(approval, context.out.noteStyle)) context.out.note(line);
  const ask = (question: string): Promise<string | undefined> => askLine(context, question, { signal, onInterrupt });

  if (approval.kind === 'question') {
    const typed = await ask('your answer: ');
    if (typed === undefined || typed === '') return undefined;
    return { accept: true, text: chosen(approval.options, typed) };
  }
  if (approval.kind === 'parked') return askHowToGoOn(ask, parkedBecause);

  const word = await ask(approval.kind === 'plan' ? 'Agree to this plan? [y/N] ' : 'Allow it? [y/N] ');
  if (word === undefined) return undefined;
  if (isYes(word)) return { accept: true };
  const remark = await ask('What is it to do otherwise? (Enter: say nothing) ');
  return remark === undefined ? undefined : { accept: false, ...(remark !== '' && { text: remark }) };
}

/** A limit has to be raised by so much; what stopped for another reason may be told something. */
const LIMITS = {
  'budget.spent': { key: 'budgetUsd', question: 'New budget of the run in USD, in all: ' },
  'agent.turns_spent': { key: 'turns', question: 'How many turns more? ' },
  'agent.time_spent': { key: 'minutes', question: 'How many minutes more? ' },
} as const;

async function askHowToGoOn(
  ask: (question: string) => Promise<string | undefined>,
  because: string | undefined,
): Promise<Partial<ApprovalAnswer> | undefined> {
  const word = await ask('Let it go on? [y/N] ');
  if (word === undefined || !isYes(word)) return undefined;
  if (because !== undefined && Object.hasOwn(LIMITS, because)) {
    const { key, question } = LIMITS[because as keyof typeof LIMITS];
    const amount = Number((await ask(question)) ?? '');
    return amount > 0 && Number.isFinite(amount) ? { accept: true, [key]: key === 'turns' ? Math.ceil(amount) : amount } : undefined;
  }
  const text = await ask('What is it to be told? (Enter: nothing) ');
  return text === undefined ? undefined : { accept: true, ...(text !== '' && { text }) };
}

/** The number of an option stands for it. */
function chosen(options: readonly string[], typed: string): string {
  return (/^\d+$/.test(typed) ? options[Number(typed) - 1] : undefined) ?? typed;
}
