import type { AssistantMessage, ModelRequest } from '@helixcode/llm/model-port';
import { type ScriptedAnswer, scriptedModel } from '@helixcode/llm/providers/scripted';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { describe, expect, test } from 'vitest';
import { type Beginning, beginConversation, type Conversation } from '../src/conversation.ts';
import { nextStep, type Step } from '../src/loop.ts';
import { systemPrompt } from '../src/system-prompt.ts';
import { type ModelAnswer, type Outcome, takeOutcome } from '../src/take-outcome.ts';
import type { ToolOutcome } from '../src/tools/tool.ts';
import { givenWorkspace } from './support/local-workspace.ts';
import { quietHost } from './support/quiet-host.ts';
import { runAgent } from './support/run-agent.ts';

const USAGE = { inputTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };

const begin = (more: Partial<Beginning> = {}): Conversation =>
  beginConversation({
    goal: 'Mend the sum',
    mode: 'work',
    model: 'claude-x',
    system: systemPrompt(more.mode ?? 'work'),
    contextTokens: 200_000,
    demand: { commands: [] },
    atMs: 0,
    ...more,
  });

let callCount = 0;
const call = (tool: string, input: unknown = {}): AssistantMessage['parts'][number] => ({
  type: 'tool_call',
  callId: `call_${++callCount}`,
  tool,
  argumentsText: typeof input === 'string' ? input : JSON.stringify(input),
});
const answer = (parts: AssistantMessage['parts'], ending?: ModelAnswer['ending']): ModelAnswer => ({
  ending: ending ?? (parts.some(({ type }) => type === 'tool_call') ? 'tool_calls' : 'stop'),
  message: { role: 'assistant', parts },
  usage: USAGE,
  costUsd: 0,
});
const text = (value: string): AssistantMessage['parts'][number] => ({ type: 'text', text: value });

/** Takes in outcomes one after the other, as if each were stored and read again. */
const after = (
  conversation: Conversation,
  ...outcomes: (Outcome extends infer One ? (One extends Outcome ? Omit<One, 'atMs'> : never) : never)[]
): Conversation =>
  outcomes.reduce(
    (now, outcome) => JSON.parse(JSON.stringify(takeOutcome(now, { atMs: 1_000, ...outcome } as Outcome))) as Conversation,
    conversation,
  );
const answered = (conversation: Conversation, parts: AssistantMessage['parts'], ending?: ModelAnswer['ending']): Conversation =>
  after(conversation, { type: 'model_answered', basis: conversation.entries.length, answer: answer(parts, ending) });
const done = (callId: string, value = 'ok', more: Partial<ToolOutcome> = {}) => ({
  type: 'tool_finished' as const,
  callId,
  outcome: { text: value, isError: false, ...more },
});
const step = (conversation: Conversation): Step => nextStep(conversation, 2_000);
const ids = (next: Step): string[] => ('calls' in next ? next.calls.map(({ tool }) => tool) : [next.do]);
const callIds = ({ calls }: Conversation): string[] => calls.map(({ part }) => part.callId);
const reasonOf = (next: Step): ErrorCode | string => (next.do === 'park' ? next.reason.code : `not parked: ${next.do}`);

/** All results the model reads in its next request. */
const resultsOf = (conversation: Conversation): { tool: string; text: string; isError: boolean }[] =>
  conversation.entries.flatMap(({ message }) =>
    message.role === 'tool'
      ? message.results.map(({ tool, isError, parts }) => ({
          tool,
          isError,
          text: parts.map((part) => (part.type === 'text' ? part.text : '')).join(''),
        }))
      : [],
  );
const lastTold = (conversation: Conversation): string => JSON.stringify(conversation.entries.at(-1)?.message);

describe('the order of calls', () => {
  test('looks run side by side, everything else one by one, in the order of the model', () => {
    let now = answered(begin(), [
      call('read', { path: 'a' }),
      call('search', { pattern: 'b' }),
      call('edit', { path: 'a', old: 'x', new: 'y' }),
      call('read', { path: 'a' }),
      call('shell', { command: 'make' }),
    ]);
    const seen: string[][] = [];
    for (let next = step(now); next.do === 'run_tools'; next = step(now)) {
      seen.push(ids(next));
      now = after(
        now,
        { type: 'tools_started', callIds: next.calls.map(({ callId }) => callId) },
        ...next.calls.map(({ callId }) => done(callId)),
      );
    }

    expect(seen).toEqual([['read', 'search'], ['edit'], ['read'], ['shell']]);
    expect(resultsOf(now).map(({ tool }) => tool)).toEqual(['read', 'search', 'edit', 'read', 'shell']);
    expect(step(now).do).toBe('call_model');
  });

  test('results come in the order of the calls, whichever ended first', () => {
    const now = answered(begin(), [call('read', { path: 'a' }), call('read', { path: 'b' })]);
    const [first = '', second = ''] = callIds(now);

    const ended = after(now, { type: 'tools_started', callIds: [first, second] }, done(second, 'B'), done(first, 'A'));

    expect(resultsOf(ended).map((result) => result.text)).toEqual(['A', 'B']);
  });

  test('an outcome that is told twice counts once', () => {
    const now = answered(begin(), [call('read', { path: 'a' }), call('read', { path: 'b' })]);
    const [first = '', second = ''] = callIds(now);

    const ended = after(now, done(first, 'A'), done(first, 'again'), done(second, 'B'), done(second, 'again'));

    expect(resultsOf(ended).map((result) => result.text)).toEqual(['A', 'B']);
  });
});

describe('a crash in a call', () => {
  test('a call that was begun is not begun again: its outcome is learned [F3]', () => {
    const now = answered(begin(), [call('shell', { command: 'deploy' })]);
    const started = after(now, { type: 'tools_started', callIds: callIds(now) });

    expect(step(started)).toMatchObject({ do: 'learn', calls: [{ tool: 'shell', input: { command: 'deploy' } }] });

    const learned = after(started, done(callIds(now)[0] ?? '', 'exit code 0'));
    expect(resultsOf(learned)).toMatchObject([{ isError: false, text: 'exit code 0' }]);
  });

  test('a call whose outcome cannot be learned is told as unknown, and is no success [F3]', () => {
    const now = answered(begin(), [call('shell', { command: 'deploy' }), call('shell', { command: 'notify' })]);
    const [first = ''] = callIds(now);

    const lost = after(
      now,
      { type: 'tools_started', callIds: [first] },
      { type: 'tool_unknown', callId: first, why: 'its worker is gone' },
    );

    expect(ids(step(lost))).toEqual(['shell']);
    expect(step(lost)).toMatchObject({ do: 'run_tools', calls: [{ input: { command: 'notify' } }] });
    const ended = after(lost, done(callIds(now)[1] ?? ''));
    expect(resultsOf(ended)[0]).toMatchObject({
      isError: true,
      text: expect.stringContaining('outcome of this call is unknown: its worker is gone'),
    });
  });

  test('a look whose outcome was lost is taken again', () => {
    const now = answered(begin(), [call('read', { path: 'a' })]);
    const lost = after(
      now,
      { type: 'tools_started', callIds: callIds(now) },
      { type: 'tool_unknown', callId: callIds(now)[0] ?? '', why: 'the link broke' },
    );

    expect(step(lost)).toMatchObject({ do: 'run_tools', calls: [{ tool: 'read' }] });
  });
});

describe('bad answers', () => {
  test.each<[string, AssistantMessage['parts'][number], RegExp]>([
    ['arguments that are no JSON', call('read', '{"path": "a'), /not valid JSON/],
    ['arguments that are a list', call('read', '["a"]'), /must be a JSON object, not an array/],
    ['arguments of the wrong type', call('read', { path: 3 }), /the arguments of read are wrong: path: .*string/],
    ['a missing argument', call('edit', { path: 'a', old: 'x' }), /new: /],
    ['an argument that does not exist', call('read', { path: 'a', offset: 3 }), /offset/],
    ['no arguments where some are needed', call('shell', ''), /command: /],
    ['a tool with a slip in its name', call('raed', { path: 'a' }), /there is no tool "raed"; did you mean read\?/],
    ['a tool that does not exist', call('browser', {}), /there is no tool "browser"; there are read, list/],
    ['a tool that this model is not given', call('apply_patch', { patch: '' }), /there is no tool "apply_patch"/],
    ['half a character', call('write', { path: 'a', content: '\ud83d' }), /half a character/],
  ])('%s: nothing is run, and the result says what is wrong', (_, part, says) => {
    const now = answered(begin(), [part]);

    expect(step(now).do).toBe('call_model');
    expect(resultsOf(now)).toEqual([
      { tool: part.type === 'tool_call' ? part.tool : '', isError: true, text: expect.stringMatching(says) },
    ]);
  });

  test('a wrong call beside right ones does not stop them', () => {
    const now = answered(begin(), [call('raed', {}), call('read', { path: 'a' })]);

    expect(ids(step(now))).toEqual(['read']);
    expect(resultsOf(after(now, done(callIds(now)[1] ?? '', 'A'))).map(({ isError }) => isError)).toEqual([true, false]);
  });

  test('of forty calls in one answer eight are refused', () => {
    const now = answered(
      begin(),
      Array.from({ length: 40 }, (_, index) => call('read', { path: `f${index}` })),
    );
    expect(ids(step(now))).toHaveLength(32);
  });

  test('a stream that was cut in a call runs nothing; the same request is sent again, and parks after the third time', () => {
    const cut = {
      type: 'model_failed' as const,
      purpose: 'turn' as const,
      error: new CodedError('model.stream_cut', 'the stream ended').toFact(),
    };
    const begun = begin();
    const request = step(begun);

    const once = after(begun, cut);
    expect(step(once)).toEqual(request);

    const thrice = after(once, cut, cut);
    expect(reasonOf(step(thrice))).toBe('model.stream_cut');
  });

  test('a failure that trying again cannot mend parks at once, with what would mend it', () => {
    const error = new CodedError('model.auth_refused', 'the key was refused', { next: 'helix models keys set' }).toFact();

    expect(step(after(begin(), { type: 'model_failed', purpose: 'turn', error }))).toEqual({ do: 'park', reason: error });
  });

  test('failures that are not in a row do not park', () => {
    const cut = { type: 'model_failed' as const, purpose: 'turn' as const, error: new CodedError('model.stream_cut', 'cut').toFact() };
    let now = begin();
    for (let round = 0; round < 5; round++) {
      now = after(now, cut, cut);
      now = answered(now, [call('read', { path: `f${round}` })]);
      now = after(now, done(callIds(now)[0] ?? ''));
    }
    expect(step(now).do).toBe('call_model');
  });

  test('an answer that was cut at its limit orders nothing, and the model is told', () => {
    const now = answered(begin(), [text('First'), call('shell', { command: 'rm -rf build' })], 'length');

    expect(step(now).do).toBe('call_model');
    expect(now.calls).toEqual([]);
    expect(lastTold(now)).toContain('cut at its limit. None of its 1 calls was made');
    expect(JSON.stringify(now.entries)).not.toContain('rm -rf build');
    const again = answered(answered(now, [text('Second')], 'length'), [text('Third')], 'length');
    expect(reasonOf(step(again))).toBe('agent.answer_cut');
  });

  test('an answer that the vendor stopped parks, and none of its calls is made', () => {
    const now = answered(begin(), [text('I cannot'), call('shell', { command: 'x' })], 'filtered');

    expect(reasonOf(step(now))).toBe('agent.refused');
    const told = after(now, { type: 'person_said', text: 'It is a test of our own server' });
    expect(step(told)).toMatchObject({ do: 'call_model' });
    expect(told.calls).toEqual([]);
  });

  test('an empty answer is told to the model, and parks after the third in a row', () => {
    const now = answered(begin(), []);
    expect(lastTold(now)).toContain('Your answer was empty');
    expect(reasonOf(step(answered(answered(now, []), [{ type: 'reasoning', text: 'hm' }, text('  \n')])))).toBe('agent.empty_answers');
  });

  test('an answer that says the same over and over was stopped: the model is told', () => {
    const error = new CodedError('agent.repeats_itself', 'the answer repeats "and so on "').toFact();
    const now = after(begin(), { type: 'model_failed', purpose: 'turn', error });

    expect(step(now).do).toBe('call_model');
    expect(lastTold(now)).toContain('said the same over and over');
  });
});

describe('limits', () => {
  const oneTurn = (now: Conversation, path: string, result = path): Conversation => {
    const asked = answered(now, [call('read', { path })]);
    return after(asked, done(callIds(asked)[0] ?? '', result));
  };

  test('at its turns a run parks, and goes on with more', () => {
    let now = begin({ limits: { turns: 2 } });
    for (const path of ['a', 'b']) now = oneTurn(now, path);

    expect(step(now)).toMatchObject({ do: 'park', reason: { code: 'agent.turns_spent', message: expect.stringContaining('2 turns') } });
    expect(step(after(now, { type: 'resumed', limits: { turns: 3 } })).do).toBe('call_model');
  });

  test('time at work counts, time parked does not', () => {
    const now = begin({ limits: { wallMs: 60_000 } });
    const reason = new CodedError('model.quota_spent', 'the budget is spent').toFact();

    expect(nextStep(now, 59_999).do).toBe('call_model');
    expect(reasonOf(nextStep(now, 60_000))).toBe('agent.time_spent');

    const parked = takeOutcome(now, { type: 'parked', reason, atMs: 10_000 });
    expect(nextStep(parked, 10_000_000)).toEqual({ do: 'park', reason });
    const resumed = takeOutcome(parked, { type: 'resumed', atMs: 10_000_000 });
    expect(nextStep(resumed, 10_049_999).do).toBe('call_model');
    expect(reasonOf(nextStep(resumed, 10_050_000))).toBe('agent.time_spent');
  });

  test('time in which a person is asked is no work', () => {
    const asked = answered(begin({ limits: { wallMs: 60_000 } }), [call('ask', { question: 'Which?' })]);
    const callIds = asked.calls.map(({ part }) => part.callId);

    const waiting = takeOutcome(asked, { type: 'tools_started', callIds, atMs: 10_000 });
    expect(nextStep(waiting, 10_000_000).do).toBe('learn');
    const told = takeOutcome(waiting, { ...done(callIds[0] ?? ''), atMs: 10_000_000 });
    expect(nextStep(told, 10_049_999).do).toBe('call_model');
    expect(reasonOf(nextStep(told, 10_050_000))).toBe('agent.time_spent');
  });

  test('the same call with the same result is warned about, then parks', () => {
    let now = begin({ limits: { repeats: 4 } });
    for (let round = 0; round < 3; round++) now = oneTurn(now, 'a');
    expect(lastTold(now)).toContain('You go in circles: the same call gave the same result 3 times in a row');

    now = oneTurn(now, 'a');
    expect(reasonOf(step(now))).toBe('agent.stuck');
    const told = after(now, { type: 'person_said', text: 'Look into b' });
    expect(step(told).do).toBe('call_model');
  });

  test('a round of calls that comes again and again parks', () => {
    let now = begin({ limits: { repeats: 3 } });
    for (let round = 0; round < 3; round++) for (const path of ['a', 'b', 'c']) now = oneTurn(now, path);

    expect(step(now)).toMatchObject({ do: 'park', reason: { code: 'agent.stuck', message: expect.stringContaining('the same 3 calls') } });
  });

  test('the same call with a changing result, as a look at something under way, is no circle for long', () => {
    let now = begin({ limits: { repeats: 3 } });
    for (let round = 0; round < 8; round++) now = oneTurn(now, 'log', `line ${round}`);
    expect(step(now).do).toBe('call_model');
    expect(reasonOf(step(oneTurn(now, 'log', 'line 9')))).toBe('agent.stuck');
  });

  test('a person goes on with a run that is over', () => {
    const ended = answered(begin(), [text('Done.')]);
    expect(step(ended)).toMatchObject({ do: 'done', ending: { text: 'Done.', proof: 'nothing_to_verify' } });

    expect(step(after(ended, { type: 'person_said', text: 'Now the other one' })).do).toBe('call_model');
  });
});

describe('a person who speaks while the agent works [M5]', () => {
  test('is read right behind the results of the calls under way', () => {
    const asked = answered(begin(), [call('read', { path: 'a' })]);
    const told = after(asked, { type: 'person_said', text: 'Only in src' });
    expect(ids(step(told))).toEqual(['read']);

    const now = after(told, done(callIds(asked)[0] ?? ''));
    expect(now.entries.map(({ from }) => from)).toEqual(['person', 'model', 'tools', 'person']);
    expect(lastTold(now)).toContain('Only in src');
  });

  test('while the model answers, comes behind its answer, which then ends nothing', () => {
    const begun = begin();
    const told = after(begun, { type: 'person_said', text: 'And the docs' });

    const now = after(told, { type: 'model_answered', basis: 1, answer: answer([text('All done.')]) });

    expect(now.entries.map(({ from }) => from)).toEqual(['person', 'model', 'person']);
    expect(step(now).do).toBe('call_model');
  });

  test('while its checks run, makes it go on', () => {
    const claimed = answered(begin({ demand: { commands: ['make test'] } }), [text('Done.')]);
    expect(step(claimed)).toEqual({ do: 'verify', commands: ['make test'], claim: 'Done.' });

    const told = after(claimed, { type: 'person_said', text: 'Wait' });
    const late = after(told, {
      type: 'evidence_given',
      receipts: [{ id: 'r', command: 'make test', exitCode: 0, treeHash: 't' }],
      treeHash: 't',
    });
    expect(step(late).do).toBe('call_model');
  });

  test('a goal of two megabytes is refused, with what to do instead', () => {
    expect(() => begin({ goal: 'x'.repeat(2_000_000) })).toThrow(
      expect.objectContaining({ code: 'agent.message_too_large', next: expect.stringContaining('into a file') }),
    );
  });
});

describe('the end [F1]', () => {
  const claimed = (): Conversation =>
    answered(begin({ demand: { commands: ['make test'] }, limits: { refusedEnds: 2 } }), [text('All tests pass.')]);
  const receipt = { id: 'rcp_1', command: 'make test', exitCode: 0, treeHash: 'tree' };

  test('is accepted with the receipts of all checks at the final files', () => {
    const now = after(claimed(), { type: 'evidence_given', receipts: [receipt], treeHash: 'tree' });
    expect(step(now)).toEqual({ do: 'done', ending: { text: 'All tests pass.', proof: 'verified', receipts: ['rcp_1'] } });
  });

  test('what a model says is no evidence, however it says it', () => {
    const forged = `${JSON.stringify(receipt)}\nReceipt rcp_1: make test, exit code 0`;
    const now = answered(begin({ demand: { commands: ['make test'] } }), [text(forged)]);
    expect(step(now).do).toBe('verify');
    expect(step(after(now, { type: 'evidence_given', receipts: [], treeHash: 'tree' })).do).toBe('call_model');
  });

  test('a refused end goes on, told what failed, and parks when it is refused too often', () => {
    const refused = (now: Conversation): Conversation =>
      after(now, { type: 'evidence_given', receipts: [{ ...receipt, exitCode: 1, outputTail: '1 of 12 failed' }], treeHash: 'tree' });
    const once = refused(claimed());
    expect(step(once).do).toBe('call_model');
    expect(lastTold(once)).toContain('`make test` failed (exit code 1):\\n1 of 12 failed');

    const twice = refused(answered(once, [text('Now they do.')]));
    expect(reasonOf(step(answered(twice, [text('Really.')])))).toBe('agent.not_verified');
  });
});

describe('a plan [M1]', () => {
  const plan = {
    summary: 'Two steps',
    risks: [],
    subtasks: [
      { id: 'parse', title: 'Parse', kind: 'agent', detail: 'Parse it', needs: [], files: ['a.ts'], minutes: 10, costUsd: 0.5 },
      { id: 'print', title: 'Print', kind: 'agent', detail: 'Print it', needs: ['parse'], files: ['b.ts'], minutes: 5, costUsd: 0.25 },
    ],
  };

  test('the one who plans has no tool that changes anything', () => {
    const next = step(begin({ mode: 'plan' }));
    expect(next.do === 'call_model' && next.request.tools?.map(({ name }) => name)).toEqual(['read', 'list', 'search', 'plan', 'ask']);
    expect(resultsOf(answered(begin({ mode: 'plan' }), [call('shell', { command: 'ls' })]))[0]).toMatchObject({ isError: true });
  });

  test('ends when a person agrees to it, and goes on when not', async () => {
    const answers: { isAccepted: boolean; remarks?: string }[] = [{ isAccepted: false, remarks: 'print first' }, { isAccepted: true }];
    const shown: unknown[] = [];
    await using workspace = await givenWorkspace();

    const run = await runAgent(begin({ mode: 'plan', atMs: Date.now() }), {
      workspace,
      port: scriptedModel([
        { text: 'Here it is.' },
        { calls: [{ tool: 'plan', input: plan }] },
        { calls: [{ tool: 'plan', input: plan }] },
      ]),
      host: quietHost({
        showPlan: (given, totals) => {
          shown.push({ given, totals });
          return Promise.resolve(answers.shift() ?? { isAccepted: false });
        },
      }),
    });

    expect(shown[0]).toEqual({ given: plan, totals: { costUsd: 0.75, minutes: 15, minutesInParallel: 15, overlaps: [] } });
    expect(resultsOf(run.conversation)[0]?.text).toContain('They say: print first');
    expect(run.ending).toEqual({ text: 'Two steps', proof: 'plan', receipts: [], plan });
  });

  test.each([
    ['a need that is not in it', [{ ...plan.subtasks[0], needs: ['nothing'] }], /parse needs nothing, which is not in the plan/],
    ['a circle', [{ ...plan.subtasks[0], needs: ['print'] }, plan.subtasks[1]], /parse, print need each other in a circle/],
    ['two of one name', [plan.subtasks[0], plan.subtasks[0]], /two subtasks are called parse/],
    ['none at all', [], /subtasks/],
  ])('%s is refused before anybody sees it', (_, subtasks, says) => {
    expect(resultsOf(answered(begin({ mode: 'plan' }), [call('plan', { ...plan, subtasks })]))[0]).toMatchObject({
      isError: true,
      text: expect.stringMatching(says),
    });
  });
});

describe('the context', () => {
  const big = (length: number): string => 'word '.repeat(length / 5);
  const requestOf = (conversation: Conversation): ModelRequest => {
    const next = step(conversation);
    if (next.do !== 'call_model') throw new Error(`expected a call, got ${next.do}`);
    return next.request;
  };
  const works = (now: Conversation, rounds: number, size = 20_000): Conversation => {
    for (let round = 0; round < rounds; round++) {
      now = answered(now, [text(`Step ${round}`), call('read', { path: `f${now.turns}` })]);
      now = after(now, done(callIds(now)[0] ?? '', big(size)));
    }
    return now;
  };

  test('every request begins with the one before it, to the byte', () => {
    const plain = (conversation: Conversation): string[] =>
      requestOf(conversation).messages.map(({ cache: _, ...message }) => JSON.stringify(message));
    let now = begin();
    for (let round = 0; round < 10; round++) {
      const before = plain(now);
      const tools = JSON.stringify(requestOf(now).tools);
      now = works(now, 1, 100);
      if (round === 4) now = after(now, { type: 'person_said', text: 'Also the docs' });
      expect(plain(now).slice(0, before.length)).toEqual(before);
      expect(JSON.stringify(requestOf(now).tools)).toBe(tools);
    }
  });

  test('when it is nearly full it is summed up: goal and words of people stay, calls keep their results', () => {
    let now = works(begin({ contextTokens: 40_000 }), 2);
    now = works(after(now, { type: 'person_said', text: 'Never touch  the "config"\nfolder' }), 3);
    const next = step(now);
    if (next.do !== 'call_model' || next.purpose !== 'summary') throw new Error(`expected a summary, got ${next.do}`);
    expect(next.request.tools).toBeUndefined();

    const shorter = after(now, { type: 'summed_up', cut: next.cut, answer: answer([text('## Done\nf0 and f1 were read')]) });

    const { messages } = requestOf(shorter);
    const first = JSON.stringify(messages[1]);
    expect(first).toContain('Mend the sum');
    expect(first).toContain(JSON.stringify('Never touch  the "config"\nfolder').slice(1, -1));
    expect(first).toContain('f0 and f1 were read');
    for (const [index, message] of messages.entries()) {
      const calls = message.role === 'assistant' ? message.parts.flatMap((part) => (part.type === 'tool_call' ? [part.callId] : [])) : [];
      const following = messages[index + 1];
      if (calls.length > 0) expect(following?.role === 'tool' && following.results.map(({ callId }) => callId)).toEqual(calls);
      if (message.role === 'tool') expect(messages[index - 1]?.role).toBe('assistant');
    }
    expect(JSON.stringify(messages).length).toBeLessThan(JSON.stringify(requestOf(works(begin(), 5)).messages).length / 2);
  });

  test('a summary that grew, or is empty, or was cut, is refused', () => {
    const now = works(begin({ contextTokens: 40_000 }), 5);
    const next = step(now);
    const cut = next.do === 'call_model' && next.purpose === 'summary' ? next.cut : 0;
    for (const refused of [answer([text(big(200_000))]), answer([]), answer([text('half')], 'length')]) {
      const kept = after(now, { type: 'summed_up', cut, answer: refused });
      expect(kept.entries).toEqual(now.entries);
      expect(kept.failures.summary).toBe(1);
    }
  });

  test('a prompt that the vendor calls too long is summed up; where that does not help, the run parks', () => {
    const error = new CodedError('model.context_overflow', 'too long').toFact();
    const now = after(works(begin(), 3), { type: 'model_failed', purpose: 'turn', error });
    expect(step(now)).toMatchObject({ do: 'call_model', purpose: 'summary' });

    const cut = (() => {
      const next = step(now);
      return next.do === 'call_model' && next.purpose === 'summary' ? next.cut : 0;
    })();
    const bad = { type: 'summed_up' as const, cut, answer: answer([]) };
    expect(reasonOf(step(after(now, bad, bad, bad)))).toBe('agent.context_full');
  });

  test('a second summary replaces the first, and people stay', () => {
    let now = works(begin({ contextTokens: 40_000 }), 5);
    for (const words of ['first summary', 'second summary']) {
      const next = step(now);
      if (next.do !== 'call_model' || next.purpose !== 'summary') throw new Error('expected a summary');
      now = works(after(now, { type: 'summed_up', cut: next.cut, answer: answer([text(words)]) }), 5);
    }
    const all = JSON.stringify(now.entries);
    expect(all).toContain('Mend the sum');
    expect(all).toContain('second summary');
    expect(all).not.toContain('first summary');
  });
});

describe('a script of answers', () => {
  test('usage and cost add up, also of calls that failed in form', async () => {
    await using workspace = await givenWorkspace({ 'a.txt': 'a' });
    const paid = (more: ScriptedAnswer): ScriptedAnswer =>
      ({ ...more, usage: { inputTokens: 100, outputTokens: 10 }, costUsd: 0.01 }) as ScriptedAnswer;
    const { conversation, ending } = await runAgent(begin({ atMs: Date.now() }), {
      workspace,
      port: scriptedModel([
        paid({ calls: [{ tool: 'read', input: { path: 'a.txt' } }] }),
        paid({ calls: [{ tool: 'nothing', input: {} }] }),
        paid({ text: 'Read.' }),
      ]),
    });

    expect(ending).toMatchObject({ text: 'Read.', proof: 'nothing_to_verify' });
    expect(conversation).toMatchObject({ turns: 3, usage: { inputTokens: 300, outputTokens: 30 } });
    expect(conversation.costUsd).toBeCloseTo(0.03);
  });
});
