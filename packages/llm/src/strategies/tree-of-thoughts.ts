import { z } from 'zod';
import { textOf } from '../model-port.ts';
import { BudgetSpent, Reasoner, type ReasoningResult, type ReasoningTask, user } from './reasoner.ts';

export interface TreeShape {
  /** Ways to go on that are proposed at each place. */
  breadth: number;
  /** Thoughts in a row at most. */
  depth: number;
  /** Out of 10. What scores less is not followed. */
  pruneBelow: number;
  /** Out of 10. An answer that scores as much ends the search. */
  acceptFrom: number;
}

export const USUAL_TREE: TreeShape = { breadth: 3, depth: 4, pruneBelow: 4, acceptFrom: 8 };

interface Thought {
  id: number;
  parent: Thought | undefined;
  text: string;
  /** Set where the thought is a whole answer. */
  answer: string | undefined;
  score: number;
  depth: number;
}

/**
 * Searches a tree of thoughts, the best first: proposes ways to go on, scores them, prunes the weak, follows the strongest wherever it hangs (which is a step
 * back when a branch disappoints), and ends at an answer that scores well enough. Two calls for every place that is looked at.
 */
export async function treeOfThoughts(task: ReasoningTask, shape: TreeShape = USUAL_TREE): Promise<ReasoningResult> {
  const reasoner = new Reasoner(task);
  const proposals = z.strictObject({
    thoughts: z
      .array(
        z.strictObject({
          thought: z.string().min(1),
          answer: z.string().nullable().describe('The whole answer, where this thought completes it; else null'),
        }),
      )
      .min(1)
      .max(shape.breadth),
  });
  let ids = 0;
  let best: Thought | undefined;
  const root: Thought = { id: 0, parent: undefined, text: '', answer: undefined, score: 10, depth: 0 };
  const open: Thought[] = [root];
  let last: Thought = root;
  try {
    while (open.length > 0) {
      open.sort((a, b) => b.score - a.score || b.depth - a.depth);
      const place = open.shift() as Thought;
      if (place !== root && place.parent !== last)
        reasoner.note({ kind: 'backtrack', text: `back from "${last.text}" to "${place.text}"`, node: place.id, score: place.score });
      last = place;

      const proposed = await reasoner.askJson(
        'thoughts',
        proposals,
        `${soFar(place)}Propose ${shape.breadth} different ways to take the next step, each in one or two sentences. ${
          place.depth + 1 >= shape.depth
            ? 'This is the last step: each must be a whole answer.'
            : 'Where a step completes the answer, give the answer too.'
        }`,
      );
      const children = proposed.thoughts.map(
        ({ thought, answer }): Thought => ({
          id: ++ids,
          parent: place,
          text: thought,
          answer: answer ?? undefined,
          score: 0,
          depth: place.depth + 1,
        }),
      );
      for (const child of children) reasoner.note({ kind: 'propose', text: child.text, node: child.id, parent: place.id });

      const scores = await reasoner.askJson(
        'scores',
        z.strictObject({ scores: z.array(z.number().min(0).max(10)).length(children.length) }),
        `${soFar(place)}Here are ${children.length} ways to go on:\n${children.map((child, index) => `${index + 1}. ${child.text}${child.answer === undefined ? '' : `\n   Answer: ${child.answer}`}`).join('\n')}\nScore each from 0 (wrong, or leads nowhere) to 10 (right, or surely leads to the answer), in this order. Look for mistakes first.`,
      );
      for (const [index, child] of children.entries()) {
        child.score = scores.scores[index] ?? 0;
        const step = { node: child.id, parent: place.id, score: child.score, text: child.text };
        reasoner.note({ kind: 'score', ...step });
        if (child.answer !== undefined) {
          if (best === undefined || child.score > best.score) best = child;
        } else if (child.score < shape.pruneBelow || child.depth >= shape.depth) reasoner.note({ kind: 'prune', ...step });
        else open.push(child);
      }
      if (best !== undefined && best.score >= shape.acceptFrom) {
        reasoner.note({ kind: 'answer', text: best.answer ?? '', node: best.id, score: best.score });
        return reasoner.result(best.answer, 'accepted');
      }
    }
    if (best === undefined) return reasoner.result(await concludeFrom(last, reasoner), 'exhausted');
    return reasoner.result(best.answer, 'exhausted');
  } catch (error) {
    if (error instanceof BudgetSpent) return reasoner.result(best?.answer, 'budget');
    throw error;
  }
}

/** No branch came to an answer: the one followed last is asked for one. */
async function concludeFrom(place: Thought, reasoner: Reasoner): Promise<string> {
  const { message } = await reasoner.ask([user(`${soFar(place)}Give the best answer you can, alone.`)]);
  const answer = textOf(message).trim();
  reasoner.note({ kind: 'answer', text: answer, node: place.id });
  return answer;
}

function soFar(place: Thought): string {
  const path: string[] = [];
  for (let at: Thought | undefined = place; at?.parent !== undefined; at = at.parent) path.unshift(at.text);
  return path.length === 0 ? '' : `Thoughts so far:\n${path.map((text, index) => `${index + 1}. ${text}`).join('\n')}\n\n`;
}
