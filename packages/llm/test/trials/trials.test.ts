import { CodedError } from '@helixcode/protocol/errors';
import { SUITE_STRATEGIES } from '@helixcode/protocol/model/model-suite';
import { describe, expect, test } from 'vitest';
import type { ModelPort } from '../../src/model-port.ts';
import { scriptedModel } from '../../src/providers/scripted.ts';
import { isRight, QUESTIONS, reasoningTrials } from '../../src/trials/reasoning-trials.ts';
import { TOOL_TRIALS } from '../../src/trials/tool-trials.ts';
import type { Trial, Verdict } from '../../src/trials/trial.ts';
import { idealToolUser } from './ideal-model.ts';

const signal = new AbortController().signal;

async function verdictsOf(trials: readonly Trial[], port: ModelPort): Promise<Record<string, Verdict>> {
  const verdicts: Record<string, Verdict> = {};
  for (const trial of trials) verdicts[trial.name] = await trial.run({ port, model: 'm', signal });
  return verdicts;
}

describe('the suite of tools', () => {
  test('is passed by a model that does what is asked, and only by that [L6]', async () => {
    const verdicts = Object.values(await verdictsOf(TOOL_TRIALS, idealToolUser()));
    expect(verdicts.length).toBeGreaterThanOrEqual(8);
    expect(verdicts.map(({ problem }) => problem).filter((problem) => problem !== undefined)).toEqual([]);
    expect(verdicts.every(({ toolCalls }) => toolCalls?.made === toolCalls?.wellFormed)).toBe(true);

    const idle = Object.entries(
      await verdictsOf(
        TOOL_TRIALS,
        scriptedModel(() => ({ text: 'Done.' })),
      ),
    );
    expect(idle.filter(([, { problem }]) => problem === undefined)).toEqual([]);
  });

  test.each([
    ['Trattoria Blu', { tool: 'book_table', input: '{"restaurant":' }, /not valid JSON/, 0],
    ['Trattoria Blu', { tool: 'book_tabel', input: {} }, /there is no tool book_tabel/, 0],
    ['Trattoria Blu', { tool: 'book_table', input: { restaurant: 'Trattoria Blu', guests: '4' } }, /arguments of book_table are wrong/, 0],
    ['saving mode', { tool: 'set_thermostat', input: { room: 'bedroom', mode: 'eco', celsius: 17 } }, /was called with/, 1],
    ['capital of Norway', { tool: 'weather', input: { city: 'Oslo' } }, /it called weather/, 1],
    ['ticket T-9', { tool: 'close_ticket', input: { ticket: 'T-9' } }, /it called close_ticket instead of assign_ticket/, 1],
    ['Ada Byron', { tool: 'send_message', input: { personId: 'ada', text: 'lunch at one' } }, /did not look up/, 1],
  ])('where %s: %j is not passed', async (words, wrong, problem, wellFormed) => {
    const trials = await verdictsOf(TOOL_TRIALS, idealToolUser({ [words]: [{ calls: [wrong] }] }));
    const failed = Object.values(trials).filter((verdict) => verdict.problem !== undefined);
    expect(failed).toEqual([{ problem: expect.stringMatching(problem), toolCalls: { made: 1, wellFormed } }]);
  });

  test('a model that never stops calling is stopped', async () => {
    const verdicts = await verdictsOf(
      TOOL_TRIALS.slice(0, 1),
      scriptedModel(() => ({ calls: [{ tool: 'book_table', input: {} }] })),
    );
    expect(Object.values(verdicts)).toMatchObject([
      { problem: expect.stringContaining('6th answer'), toolCalls: { made: 6, wellFormed: 0 } },
    ]);
  });
});

describe('the suite of reasoning', () => {
  const answerTo = (name: string): number | string | undefined => QUESTIONS.find((question) => question.name === name)?.answer;

  test('has the answers that a program finds by trying everything', () => {
    let x = 7;
    for (let i = 1; i <= 6; i++) x = x % 3 === 0 ? x / 3 + i : 2 * x - i;
    expect(answerTo('a program in the head')).toBe(x);
    const numbers = Array.from({ length: 100 }, (_, index) => index + 1);
    expect(answerTo('counting with two conditions')).toBe(numbers.filter((n) => (n % 3 === 0) !== (n % 5 === 0)).length);
    expect(answerTo('letters in words')).toBe([...'extraordinary strawberry carrier'].filter((letter) => letter === 'r').length);
    const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
    expect(new Date('2027-03-01').getUTCDay()).toBe(1);
    expect(answerTo('a weekday over a leap year')).toBe(days[new Date('2028-03-01').getUTCDay()]);
    let ways = 0;
    for (let twenties = 0; twenties <= 50; twenties += 20) for (let tens = 0; twenties + tens <= 50; tens += 10) ways++;
    expect(answerTo('ways to pay')).toBe(ways);
    const pen = Array.from({ length: 331 }, (_, cents) => cents).filter((cents) => cents + cents + 300 === 330);
    expect([answerTo('the obvious answer is wrong')]).toEqual(pen);
    const orders = permutations(['Mia', 'Leo', 'Tom', 'Eva', 'Kim']).filter((order) => {
      const at = (runner: string): number => order.indexOf(runner);
      const isEvaInside = at('Eva') > 0 && at('Eva') < 4;
      const isInPairs = at('Tom') === at('Mia') + 1 && at('Leo') === at('Eva') + 1;
      return isEvaInside && isInPairs && at('Mia') < at('Leo') && at('Kim') < at('Mia');
    });
    expect(orders.map((order) => order[2])).toEqual([answerTo('an order from hints')]);
    // Ada, Bob: true where they tell the truth.
    const minds = [true, false].flatMap((ada) => [true, false].map((bob) => ({ ada, bob })));
    expect(minds.filter(({ ada, bob }) => ada === !bob && bob === (ada === bob))).toEqual([{ ada: true, bob: false }]);
    expect(answerTo('who tells the truth')).toBe('Ada');
    expect(answerTo('the shortest way')).toBe(shortestWay('A', 'F'));
    expect(answerTo('measuring with two jugs')).toBe(stepsUntil(6));
    expect(QUESTIONS).toHaveLength(10);
  });

  test.each([
    ['ANSWER: 41', 41, true],
    ['So 33 + 20 - 12.\n**ANSWER:** 41', 41, true],
    ['ANSWER: 1,234', 1_234, true],
    ['answer: 13 km', 13, true],
    ['ANSWER: 9 (3 + 3 + 3)', 9, true],
    ['There are 41.', 41, true],
    ['41 at first, but no:\n\nANSWER: 47', 41, false],
    ['ANSWER: 4', 41, false],
    ['ANSWER: 41.5', 41, false],
    ['', 41, false],
    ['ANSWER: **Tom**', 'Tom', true],
    ['Tom is third', 'Tom', true],
    ['ANSWER: Tom or Mia', 'Tom', false],
    ['ANSWER: Tomorrow', 'Tom', false],
  ])('of %j the answer is judged against %j', (given, answer, right) => {
    expect(isRight(given, answer)).toBe(right);
  });

  test.each(SUITE_STRATEGIES)('can be asked by %s, which has its own way to the same answers [L3] [L6]', async (strategy) => {
    let calls = 0;
    const port = scriptedModel(({ messages, tools }) => {
      calls++;
      const told = JSON.stringify(messages);
      const { answer } = QUESTIONS.find(({ question }) => told.includes(JSON.stringify(question).slice(1, -1))) ?? { answer: '?' };
      if (tools?.some(({ name }) => name === 'conclude'))
        return { calls: [{ tool: 'conclude', input: { answer: String(answer), confidence: 1, open: [] } }] };
      const last = JSON.stringify(messages.at(-1));
      if (last.includes('Judge it strictly')) return { text: '{"mistakes": [], "score": 10}' };
      if (last.includes('Score each')) return { text: '{"scores": [10]}' };
      if (last.includes('different ways')) return { text: JSON.stringify({ thoughts: [{ thought: 'I see.', answer: String(answer) }] }) };
      return { text: `Step by step.\nANSWER: ${answer}` };
    });
    const verdicts = await verdictsOf(reasoningTrials(strategy), port);
    expect(Object.values(verdicts).map(({ problem }) => problem)).toEqual(QUESTIONS.map(() => undefined));
    expect(calls).toBe(QUESTIONS.length * (strategy === 'tree_of_thoughts' || strategy === 'self_reflection' ? 2 : 1));
  });

  test('a wrong answer is told with the right one, and a call that fails is no verdict', async () => {
    const [first] = reasoningTrials('none');
    const wrong = await first?.run({ port: scriptedModel([{ text: 'ANSWER: 30' }]), model: 'm', signal });
    expect(wrong).toEqual({ problem: 'it answered "ANSWER: 30"; 15 is right' });
    const broken = scriptedModel([new CodedError('model.overloaded', 'm is overloaded')]);
    await expect(first?.run({ port: broken, model: 'm', signal })).rejects.toMatchObject({ code: 'model.overloaded' });
  });
});

function permutations(items: string[]): string[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

function shortestWay(from: string, to: string, been = from): number {
  const roads = ['AB4', 'AC2', 'CB1', 'BD5', 'CD8', 'CE10', 'DE2', 'DF6', 'EF3'];
  if (from === to) return 0;
  const ways = roads.flatMap((road) => {
    const [a = '', b = ''] = road;
    const next = a === from ? b : b === from ? a : undefined;
    return next === undefined || been.includes(next) ? [] : [Number(road.slice(2)) + shortestWay(next, to, been + next)];
  });
  return Math.min(...ways, Number.POSITIVE_INFINITY);
}

function stepsUntil(litres: number): number {
  let places = [[0, 0]];
  for (let steps = 0; ; steps++) {
    if (places.some((jugs) => jugs.includes(litres))) return steps;
    places = places.flatMap(([a = 0, b = 0]) => {
      const [toB, toA] = [Math.min(a, 7 - b), Math.min(b, 4 - a)];
      return [
        [4, b],
        [a, 7],
        [0, b],
        [a, 0],
        [a - toB, b + toB],
        [a + toA, b - toA],
      ];
    });
    places = [...new Map(places.map((jugs) => [jugs.join(), jugs])).values()];
  }
}
