import { z } from 'zod';
import { textOf } from '../model-port.ts';
import { BudgetSpent, Reasoner, type ReasoningResult, type ReasoningTask, user } from './reasoner.ts';

export interface ReflectionRule {
  /** Revisions at most. */
  revisions: number;
  /** Out of 10. A draft that scores as much is good enough, unless the critic still names a mistake. */
  acceptFrom: number;
}

export const USUAL_REFLECTION: ReflectionRule = { revisions: 3, acceptFrom: 9 };

const critique = z.strictObject({
  mistakes: z.array(z.string()).describe('What is wrong or missing, each in one sentence; empty when nothing is'),
  score: z.number().min(0).max(10),
});

/**
 * Writes a draft, has it criticised, revises it by the criticism, and so on. Stops when the critic is content, when a revision is no better than what was there
 * (the better one is kept), or at the limit of revisions.
 */
export async function selfReflection(task: ReasoningTask, rule: ReflectionRule = USUAL_REFLECTION): Promise<ReasoningResult> {
  const reasoner = new Reasoner(task);
  let best: { draft: string; score: number } | undefined;
  try {
    let draft = textOf((await reasoner.ask([])).message).trim();
    // A draft nobody judged is better than nothing.
    best = { draft, score: -1 };
    reasoner.note({ kind: 'draft', text: draft });
    for (let revision = 0; ; revision++) {
      const { mistakes, score } = await reasoner.askJson(
        'critique',
        critique,
        `Here is a draft of an answer, written by somebody else:\n<draft>\n${draft}\n</draft>\nJudge it strictly. Name every mistake you can show to be one, then score the draft from 0 to 10.`,
      );
      reasoner.note({ kind: 'critique', text: mistakes.join('\n'), score });
      if (score >= rule.acceptFrom && mistakes.length === 0) return reasoner.result(draft, 'accepted');
      if (score <= best.score) return reasoner.result(best.draft, 'exhausted');
      best = { draft, score };
      if (revision === rule.revisions) return reasoner.result(draft, 'exhausted');

      const revised = await reasoner.ask([
        user(
          `Here is a draft of the answer:\n<draft>\n${draft}\n</draft>\nA critic found:\n${mistakes.map((mistake) => `- ${mistake}`).join('\n') || '- it could be better, without saying how'}\nWrite the answer anew, alone, with what is right in the criticism put right.`,
        ),
      ]);
      const next = textOf(revised.message).trim();
      reasoner.note({ kind: 'revise', text: next });
      if (next === draft) return reasoner.result(draft, 'exhausted');
      draft = next;
    }
  } catch (error) {
    if (error instanceof BudgetSpent) return reasoner.result(best?.draft, 'budget');
    throw error;
  }
}
