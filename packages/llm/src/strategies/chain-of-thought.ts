import { textOf } from '../model-port.ts';
import { BudgetSpent, Reasoner, type ReasoningResult, type ReasoningTask, user } from './reasoner.ts';

const INSTRUCTION =
  'Work it out step by step, one numbered step a line. Check the steps. Then write a line that begins with "ANSWER:" and holds the answer alone.';

/** One train of thought, written out, and its answer. A model that forgets the answer's line is asked for it once. */
export async function chainOfThought(task: ReasoningTask): Promise<ReasoningResult> {
  const reasoner = new Reasoner(task);
  let answer: string | undefined;
  try {
    const { message } = await reasoner.ask([user(INSTRUCTION)]);
    const text = textOf(message);
    const [steps = '', ...rest] = text.split(/^\s*\**ANSWER:\**/m);
    for (const step of steps.split('\n')) if (step.trim() !== '') reasoner.note({ kind: 'thought', text: step.trim() });
    answer = rest.length > 0 ? rest.join('ANSWER:').trim() : text.trim();
    if (rest.length === 0) {
      const last = await reasoner.ask([user(INSTRUCTION), message, user('Write the answer alone, without the steps.')]);
      answer = textOf(last.message)
        .replace(/^\s*\**ANSWER:\**/, '')
        .trim();
    }
    reasoner.note({ kind: 'answer', text: answer });
    return reasoner.result(answer, 'accepted');
  } catch (error) {
    if (error instanceof BudgetSpent) return reasoner.result(answer, 'budget');
    throw error;
  }
}
