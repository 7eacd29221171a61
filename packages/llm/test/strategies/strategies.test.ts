import { describe, expect, test } from 'vitest';
import type { Message, ModelRequest } from '../../src/model-port.ts';
import { type ScriptedAnswer, scriptedModel } from '../../src/providers/scripted.ts';
import { chainOfThought } from '../../src/strategies/chain-of-thought.ts';
import { progressive } from '../../src/strategies/progressive.ts';
import type { ReasoningStep, ReasoningTask } from '../../src/strategies/reasoner.ts';
import { selfReflection } from '../../src/strategies/self-reflection.ts';
import { treeOfThoughts } from '../../src/strategies/tree-of-thoughts.ts';

const usage = { inputTokens: 100, outputTokens: 10 };
const say = (text: string): ScriptedAnswer => ({ text, usage, costUsd: 0.01 });
const json = (value: unknown): ScriptedAnswer => say(JSON.stringify(value));

const task = (
  script: Parameters<typeof scriptedModel>[0],
  more: Partial<ReasoningTask> = {},
): ReasoningTask & { port: ReturnType<typeof scriptedModel> } => ({
  model: 'm',
  question: 'How many?',
  budget: { calls: 50 },
  signal: new AbortController().signal,
  ...more,
  port: scriptedModel(script),
});

/** All a model was told, as one text. */
const told = (request: ModelRequest | undefined): string =>
  (request?.messages ?? [])
    .map((message: Message) => ('parts' in message ? message.parts.map((part) => ('text' in part ? part.text : '')).join('') : ''))
    .join('\n');

const kinds = (trace: ReasoningStep[]): string[] => trace.map(({ kind }) => kind);

describe('chain of thought', () => {
  test('the steps are kept as a trace, the answer alone is the answer', async () => {
    const asked = task([say('1. There are two pairs.\n2. Twice two is four.\nANSWER: 4')]);

    const result = await chainOfThought(asked);

    expect(result).toMatchObject({
      answer: '4',
      ending: 'accepted',
      calls: 1,
      costUsd: 0.01,
      usage: { inputTokens: 100, outputTokens: 10 },
    });
    expect(result.trace.map(({ text }) => text)).toEqual(['1. There are two pairs.', '2. Twice two is four.', '4']);
    expect(told(asked.port.asked[0])).toContain('How many?');
  });

  test('a model that forgets the line of the answer is asked for it', async () => {
    expect(await chainOfThought(task([say('Two and two is four.'), say('4')]))).toMatchObject({ answer: '4', calls: 2 });
  });

  test('at the end of the budget the text itself is the answer', async () => {
    expect(await chainOfThought(task([say('Two and two is four.')], { budget: { calls: 1 } }))).toMatchObject({
      answer: 'Two and two is four.',
      ending: 'budget',
      calls: 1,
    });
  });
});

describe('tree of thoughts', () => {
  const shape = { breadth: 2, depth: 3, pruneBelow: 4, acceptFrom: 8 };
  const propose = (...thoughts: [string, string?][]) =>
    json({ thoughts: thoughts.map(([thought, answer]) => ({ thought, answer: answer ?? null })) });
  const score = (...scores: number[]) => json({ scores });

  test('the best branch is followed to an answer that scores well', async () => {
    const asked = task([propose(['add'], ['guess']), score(7, 2), propose(['sum up', '4']), score(9)]);

    const result = await treeOfThoughts(asked, shape);

    expect(result).toMatchObject({ answer: '4', ending: 'accepted', calls: 4 });
    expect(kinds(result.trace)).toEqual(['propose', 'propose', 'score', 'score', 'prune', 'propose', 'score', 'answer']);
    expect(told(asked.port.asked[2])).toContain('1. add');
    expect(told(asked.port.asked[2])).not.toContain('guess');
  });

  test('when a branch disappoints, the search steps back to the next best', async () => {
    const result = await treeOfThoughts(
      task([propose(['left'], ['right']), score(8, 6), propose(['dead end'], ['worse']), score(1, 2), propose(['through', '5']), score(8)]),
      shape,
    );

    expect(result).toMatchObject({ answer: '5', ending: 'accepted' });
    expect(result.trace.find(({ kind }) => kind === 'backtrack')).toMatchObject({ text: 'back from "left" to "right"' });
    expect(result.trace.filter(({ kind }) => kind === 'prune').map(({ text }) => text)).toEqual(['dead end', 'worse']);
  });

  test('no branch is followed below the depth, and an answer that is not good enough is still given in the end', async () => {
    let round = 0;
    const asked = task(() => (round++ % 2 === 0 ? propose(['on'], ['maybe', 'so-so']) : score(7, 5)));

    const result = await treeOfThoughts(asked, shape);

    expect(result).toMatchObject({ answer: 'so-so', ending: 'exhausted', calls: 6 });
  });

  test('without any answer the last path is asked for one', async () => {
    expect(await treeOfThoughts(task([propose(['a']), score(1), say('perhaps 4')]), shape)).toMatchObject({
      answer: 'perhaps 4',
      ending: 'exhausted',
    });
  });

  test('at the end of the budget the best answer so far is given', async () => {
    const script = [propose(['a', 'weak'], ['b']), score(5, 7), propose(['c']), score(7)];

    expect(await treeOfThoughts(task(script, { budget: { calls: 3 } }), shape)).toMatchObject({
      answer: 'weak',
      ending: 'budget',
      calls: 3,
    });
    expect(await treeOfThoughts(task(script, { budget: { calls: 50, costUsd: 0.02 } }), shape)).toMatchObject({
      answer: 'weak',
      ending: 'budget',
      calls: 2,
    });
    expect(await treeOfThoughts(task(script, { budget: { calls: 50, outputTokens: 15 } }), shape)).toMatchObject({
      ending: 'budget',
      calls: 2,
    });
  });

  test('scores of the wrong number are asked for once more', async () => {
    const asked = task([propose(['a', '4']), score(9, 9), score(9)]);

    expect(await treeOfThoughts(asked, shape)).toMatchObject({ answer: '4', calls: 3 });
    expect(told(asked.port.asked[2])).toContain('That is not the asked JSON');
  });

  test('a model that cannot answer in JSON is an error that says so', async () => {
    await expect(treeOfThoughts(task([say('I would rather not'), say('no')]), shape)).rejects.toMatchObject({
      code: 'model.bad_response',
      next: expect.stringContaining('helix models list'),
    });
  });
});

describe('self-reflection', () => {
  const critique = (score: number, ...mistakes: string[]) => json({ mistakes, score });

  test('a draft is revised by its criticism until the critic is content', async () => {
    const asked = task([say('5'), critique(3, 'five is wrong'), say('4'), critique(10)]);

    const result = await selfReflection(asked);

    expect(result).toMatchObject({ answer: '4', ending: 'accepted', calls: 4 });
    expect(kinds(result.trace)).toEqual(['draft', 'critique', 'revise', 'critique']);
    expect(told(asked.port.asked[2])).toContain('five is wrong');
  });

  test('a high score with a mistake named is not taken', async () => {
    expect(await selfReflection(task([say('4?'), critique(9, 'the question mark'), say('4'), critique(10)]))).toMatchObject({
      answer: '4',
    });
  });

  test('a revision that is worse is thrown away', async () => {
    expect(await selfReflection(task([say('good'), critique(7, 'short'), say('worse'), critique(4, 'wrong')]))).toMatchObject({
      answer: 'good',
      ending: 'exhausted',
    });
  });

  test('a model that changes nothing ends it', async () => {
    expect(await selfReflection(task([say('same'), critique(5, 'dull'), say('same')]))).toMatchObject({
      answer: 'same',
      ending: 'exhausted',
      calls: 3,
    });
  });

  test('it ends at the limit of revisions', async () => {
    let round = 0;
    const result = await selfReflection(
      task((request) => (request.output ? critique(++round, 'more') : say(`draft ${round}`))),
      { revisions: 2, acceptFrom: 9 },
    );

    expect(result).toMatchObject({ answer: 'draft 2', ending: 'exhausted' });
  });

  test('at the end of the budget the best draft so far is given', async () => {
    expect(await selfReflection(task([say('first'), critique(5, 'short'), say('second')], { budget: { calls: 3 } }))).toMatchObject({
      answer: 'first',
      ending: 'budget',
    });
  });
});

describe('progressive reasoning with tools', () => {
  const TOOLS = [{ name: 'count', description: 'Counts', inputSchema: { type: 'object' } }];
  const call = (tool: string, input: unknown): ScriptedAnswer => ({ calls: [{ tool, input }], usage, costUsd: 0.01 });
  const conclude = (answer: string, confidence: number, ...open: string[]) => call('conclude', { answer, confidence, open });
  const count = { tools: TOOLS, run: () => Promise.resolve([{ type: 'text' as const, text: '4 items' }]) };

  test('an easy question costs one cheap call', async () => {
    const asked = task([conclude('4', 0.95)]);

    expect(await progressive(asked, count)).toMatchObject({ answer: '4', ending: 'accepted', calls: 1 });
    expect(asked.port.asked[0]?.reasoning).toBe('low');
  });

  test('a hard one gets more effort, knowing what was found and what stayed open', async () => {
    const asked = task([call('count', {}), conclude('4', 0.5, 'the hidden ones'), call('count', { hidden: true }), conclude('5', 0.9)]);

    const result = await progressive(asked, count);

    expect(result).toMatchObject({ answer: '5', ending: 'accepted' });
    expect(asked.port.asked.map(({ reasoning }) => reasoning)).toEqual(['low', 'low', 'medium', 'medium']);
    expect(told(asked.port.asked[2])).toContain('the hidden ones');
    expect(JSON.stringify(asked.port.asked[2]?.messages)).toContain('4 items');
    expect(kinds(result.trace)).toEqual(['stage', 'tool', 'conclude', 'stage', 'tool', 'conclude']);
  });

  test('at the last turn of a stage it has to conclude', async () => {
    const asked = task([call('count', {}), conclude('4', 0.3)]);

    expect(await progressive(asked, count, [{ effort: 'low', turns: 2 }])).toMatchObject({ answer: '4', ending: 'exhausted' });
    expect(asked.port.asked.map(({ toolChoice }) => toolChoice)).toEqual([undefined, { tool: 'conclude' }]);
  });

  test('an unknown tool, unreadable arguments and a tool that fails are told to the model, which goes on', async () => {
    const asked = task([
      {
        calls: [
          { tool: 'cuont', input: {} },
          { tool: 'count', input: '{"a":' },
          { tool: 'count', input: {} },
        ],
      },
      call('conclude', { answer: '' }),
      conclude('4', 1),
    ]);

    expect(await progressive(asked, { tools: TOOLS, run: () => Promise.reject(new Error('the disk is gone')) })).toMatchObject({
      answer: '4',
    });
    const results = asked.port.asked[2]?.messages.filter((message) => message.role === 'tool').flatMap(({ results }) => results) ?? [];
    expect(results.map(({ parts }) => (parts[0]?.type === 'text' ? parts[0].text : ''))).toEqual([
      'there is no tool cuont',
      expect.stringContaining('are not valid JSON'),
      'the disk is gone',
      'the arguments are not of the asked shape',
    ]);
    expect(results.every(({ isError }) => isError)).toBe(true);
  });

  test('a cancelled task ends as cancelled, in the middle of a tool too', async () => {
    const stop = new AbortController();
    const asked = task([call('count', {})], { signal: stop.signal });
    const run = (): Promise<never> => {
      stop.abort();
      return Promise.reject(new Error('aborted'));
    };

    await expect(progressive(asked, { tools: TOOLS, run })).rejects.toMatchObject({ code: 'model.cancelled' });
  });
});

test('steps are told while they happen', async () => {
  const seen: string[] = [];

  await chainOfThought(task([say('1. x\nANSWER: y')], { onStep: ({ kind }) => seen.push(kind) }));

  expect(seen).toEqual(['thought', 'answer']);
});

test('a failing model is the error of the strategy', async () => {
  await expect(selfReflection(task([]))).rejects.toMatchObject({ code: 'model.bad_response' });
});
