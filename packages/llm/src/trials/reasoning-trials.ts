import type { SuiteStrategy } from '@helixcode/protocol/model/model-suite';
import { collect, textOf } from '../model-port.ts';
import { chainOfThought } from '../strategies/chain-of-thought.ts';
import { progressive } from '../strategies/progressive.ts';
import type { ReasoningResult, ReasoningTask } from '../strategies/reasoner.ts';
import { selfReflection } from '../strategies/self-reflection.ts';
import { treeOfThoughts } from '../strategies/tree-of-thoughts.ts';
import type { Candidate, Trial } from './trial.ts';

/** A question with one right answer. */
export interface Question {
  name: string;
  question: string;
  /** A number, or words. */
  answer: number | string;
}

export const QUESTIONS: Question[] = [
  {
    name: 'the obvious answer is wrong',
    question:
      'A notebook and a pen cost 3.30 euro together. The notebook costs 3.00 euro more than the pen. How many cents does the pen cost?',
    answer: 15,
  },
  {
    name: 'a weekday over a leap year',
    question: '1 March 2027 is a Monday. Which day of the week is 1 March 2028?',
    answer: 'Wednesday',
  },
  {
    name: 'who tells the truth',
    question:
      'Of two people each either always tells the truth or always lies. Ada says: "Bob lies." Bob says: "We are both of the same kind." Who tells the truth: Ada, Bob, both or neither?',
    answer: 'Ada',
  },
  {
    name: 'a program in the head',
    question:
      'x begins as 7. For i = 1, 2, 3, 4, 5, 6 in turn: where x is divisible by 3, x becomes x / 3 + i; otherwise x becomes 2 * x - i. What is x in the end?',
    answer: 16,
  },
  {
    name: 'counting with two conditions',
    question: 'How many whole numbers from 1 to 100 are divisible by 3 or by 5, but not by both?',
    answer: 41,
  },
  {
    name: 'the shortest way',
    question:
      'Roads, in km and in both directions: A-B 4, A-C 2, C-B 1, B-D 5, C-D 8, C-E 10, D-E 2, D-F 6, E-F 3. How long is the shortest way from A to F?',
    answer: 13,
  },
  {
    name: 'an order from hints',
    question:
      'Five runners finish one after the other. Mia is before Leo. Tom is right behind Mia. Eva is neither first nor last. Leo is right behind Eva. Kim is before Mia. Who is third?',
    answer: 'Tom',
  },
  {
    name: 'ways to pay',
    question: 'In how many ways can exactly 50 cents be paid with coins of 5, 10 and 20 cents? The order of coins does not count.',
    answer: 12,
  },
  {
    name: 'measuring with two jugs',
    question:
      'You have a jug of 4 litres, a jug of 7 litres and a tap. Filling a jug, emptying a jug, and pouring one into the other until one is full or the other empty are one step each. Both are empty. How many steps does it take at least until one jug holds exactly 6 litres?',
    answer: 6,
  },
  {
    name: 'letters in words',
    question: 'How many times does the letter r stand in the words "extraordinary strawberry carrier" altogether?',
    answer: 9,
  },
];

/** Bounds one question: what a strategy has not found by then it does not find. */
const BUDGET = { calls: 16, outputTokens: 60_000 };

const STRATEGIES: Record<Exclude<SuiteStrategy, 'none'>, (task: ReasoningTask) => Promise<ReasoningResult>> = {
  chain_of_thought: (task) => chainOfThought(task),
  tree_of_thoughts: (task) => treeOfThoughts(task),
  self_reflection: (task) => selfReflection(task),
  // These questions need no tools but the mind.
  progressive: (task) => progressive(task, { tools: [], run: () => Promise.reject(new Error('there is no such tool')) }),
};

const ANSWER_LINE = 'End with a line that begins with "ANSWER:" and holds the answer alone: a number without its unit, or a name.';

export function reasoningTrials(strategy: SuiteStrategy): Trial[] {
  return QUESTIONS.map(({ name, question, answer }) => ({
    name,
    async run(candidate) {
      const given = await (strategy === 'none' ? askPlainly(question, candidate) : think(STRATEGIES[strategy], question, candidate));
      if (given === undefined) return { problem: `it had no answer after ${BUDGET.calls} calls or ${BUDGET.outputTokens} tokens` };
      return {
        problem: isRight(given, answer) ? undefined : `it answered ${JSON.stringify(given.trim().slice(-120))}; ${answer} is right`,
      };
    },
  }));
}

async function askPlainly(question: string, { port, model, signal }: Candidate): Promise<string> {
  const messages = [{ role: 'user' as const, parts: [{ type: 'text' as const, text: `${question}\n\n${ANSWER_LINE}` }] }];
  return textOf((await collect(port.stream({ model, messages }, signal))).message);
}

async function think(
  strategy: (task: ReasoningTask) => Promise<ReasoningResult>,
  question: string,
  candidate: Candidate,
): Promise<string | undefined> {
  return (await strategy({ ...candidate, question: `${question}\n\nThe answer is a number without its unit, or a name.`, budget: BUDGET }))
    .answer;
}

/** Judges the line behind the last "ANSWER:", or the last line: of numbers the last, of words the only one of its kind. */
export function isRight(given: string, answer: number | string): boolean {
  const text = given.split(/ANSWER:/i).at(-1) ?? '';
  const line = text
    .replace(/[*_`$\\]|\([^)]*\)/g, '')
    .trim()
    .split('\n')
    .filter((one) => one.trim() !== '');
  // Behind the mark the answer comes first; without one it comes last.
  const told = (/ANSWER:/i.test(given) ? line[0] : line.at(-1)) ?? '';
  if (typeof answer === 'number') {
    const numbers = told.replace(/(?<=\d)[,'\u202f\u00a0](?=\d{3}\b)/g, '').match(/-?\d+(?:\.\d+)?/g);
    return numbers !== null && Number(numbers.at(-1)) === answer;
  }
  const words: string[] = told.toLowerCase().match(/\p{L}+/gu) ?? [];
  const others = OTHER_ANSWERS.filter((other) => other !== answer.toLowerCase());
  return words.includes(answer.toLowerCase()) && !words.some((word) => others.includes(word));
}

/** Names that are answers of some question: an answer that holds two of them has not decided. */
const OTHER_ANSWERS = [
  ...['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'],
  ...['ada', 'bob', 'both', 'neither'],
  ...['mia', 'leo', 'tom', 'eva', 'kim'],
];
