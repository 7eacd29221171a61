import { CodedError } from '@helixcode/protocol/errors';
import { PROVIDER_KINDS } from '@helixcode/protocol/model/provider-kind';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect, type ModelDone, type ModelPort, type ModelRequest, readArguments, textOf, toolCallsOf } from '../src/model-port.ts';
import { openProvider } from '../src/providers/open-provider.ts';
import { all, failureOf } from './events.ts';
import { anthropicWire } from './wire/anthropic-wire.ts';
import { geminiWire } from './wire/gemini-wire.ts';
import { ollamaWire } from './wire/ollama-wire.ts';
import {
  deepseekWire,
  huggingfaceWire,
  llamaServerWire,
  mistralWire,
  nvidiaWire,
  openaiChatWire,
  openaiCompatibleWire,
  openrouterWire,
  qwenWire,
} from './wire/openai-chat-wire.ts';
import { openaiWire, xaiWire } from './wire/responses-wire.ts';
import { type Refusal, SOME_USAGE } from './wire/wire.ts';
import { GOOD_KEY, GOOD_MODEL, WireServer } from './wire/wire-server.ts';

const WIRES = [
  openaiWire,
  openaiChatWire,
  anthropicWire,
  geminiWire,
  xaiWire,
  deepseekWire,
  qwenWire,
  mistralWire,
  openrouterWire,
  huggingfaceWire,
  nvidiaWire,
  ollamaWire,
  llamaServerWire,
  openaiCompatibleWire,
];

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const WEATHER = {
  name: 'weather',
  description: 'The weather of a city',
  inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const never = new AbortController().signal;

const ask = (text: string, more: Partial<ModelRequest> = {}): ModelRequest => ({
  model: GOOD_MODEL,
  messages: [
    { role: 'system', text: 'You are terse.' },
    { role: 'user', parts: [{ type: 'text', text }] },
  ],
  ...more,
});

test('every kind of provider that is a server is tested against a server of its vendor', () => {
  expect(WIRES.map(({ kind }) => kind).sort()).toEqual(PROVIDER_KINDS.filter((kind) => kind !== 'replay').sort());
});

describe.each(WIRES)('$kind', (wire) => {
  const server = new WireServer(wire);
  let model: ModelPort;

  const open = (config = {}): Promise<ModelPort> =>
    openProvider(wire.kind, {
      baseUrl: server.baseUrl,
      ...(wire.keyOf && { apiKey: GOOD_KEY }),
      models: { [GOOD_MODEL]: { price: { inputUsd: 3, outputUsd: 15, cacheReadUsd: 0.3 } } },
      ...config,
    });

  beforeAll(async () => {
    await server.start();
    model = await open();
  });
  beforeEach(() => server.forget());
  afterAll(() => server.stop());

  test('a text comes in pieces and ends with done', async () => {
    server.next({ say: { text: 'Hello, world', usage: SOME_USAGE } });

    const events = await all(model.stream(ask('Say hello'), never));

    expect(events.filter((event) => event.type === 'text').map((event) => event.text)).toEqual(['Hello,', ' world']);
    expect(events.at(-1)).toMatchObject({
      type: 'done',
      ending: 'stop',
      message: { role: 'assistant', parts: [{ type: 'text', text: 'Hello, world' }] },
    });
    expect(events.filter(({ type }) => type === 'done' || type === 'error')).toHaveLength(1);
    expect(server.asked[0]).toMatchObject({ model: GOOD_MODEL, system: ['You are terse.'], user: ['Say hello'] });
  });

  test('usage is counted and priced', async () => {
    server.next({ say: { text: 'ok', usage: SOME_USAGE } });

    const { usage, costUsd } = await collect(model.stream(ask('x'), never));

    const cached = wire.lacks?.includes('cachedTokens') ? 0 : SOME_USAGE.cached;
    expect(usage).toEqual({
      inputTokens: 1000,
      cachedTokens: cached,
      cacheWriteTokens: 0,
      outputTokens: 200,
      reasoningTokens: wire.lacks?.includes('reasoningTokens') ? 0 : SOME_USAGE.reasoning,
    });
    const byTable = ((1000 - cached) * 3 + cached * 0.3 + 200 * 15) / 1e6;
    expect(costUsd).toBeCloseTo(wire.kind === 'openrouter' ? 0.0123 : byTable, 10);
  });

  test('thoughts come before the text and are kept apart from it', async () => {
    server.next({ say: { think: 'Let me think.', text: 'Done' } });

    const events = await all(model.stream(ask('x', { reasoning: 'medium' }), never));

    const thoughts = events
      .filter((event) => event.type === 'reasoning')
      .map((event) => event.text)
      .join('');
    expect(thoughts).toBe(wire.lacks?.includes('reasoning') ? '' : 'Let me think.');
    expect(textOf((events.at(-1) as ModelDone).message)).toBe('Done');
  });

  test('a tool call comes with its arguments, and its result goes back to the model', async () => {
    server.next(
      {
        say: { think: 'I need the weather.', text: 'I look.', calls: [{ id: 'call_1', tool: 'weather', input: { city: 'Córdoba "AR"' } }] },
      },
      { say: { text: 'Sunny' } },
    );
    const first = ask('Weather?', { tools: [WEATHER], reasoning: 'low' });

    const events = await all(model.stream(first, never));
    const done = events.at(-1) as ModelDone;

    expect(done.ending).toBe('tool_calls');
    const [call] = toolCallsOf(done.message);
    if (!call) throw new Error('no call');
    expect(readArguments(call)).toEqual({ input: { city: 'Córdoba "AR"' } });
    const start = events.findIndex(({ type }) => type === 'tool_call_start');
    expect(events[start]).toMatchObject({ callId: call.callId, tool: 'weather' });
    const pieces = events.filter((event) => event.type === 'tool_call_delta').map((event) => event.argumentsText);
    expect(JSON.parse(pieces.join(''))).toEqual({ city: 'Córdoba "AR"' });
    if (!wire.lacks?.includes('argumentPieces')) expect(pieces.length).toBeGreaterThan(1);
    expect(events.findIndex(({ type }) => type === 'tool_call')).toBeGreaterThan(start);
    expect(server.asked[0]?.tools).toEqual(['weather']);

    // Kept in a database between the turns.
    const kept = JSON.parse(JSON.stringify(done.message)) as ModelDone['message'];
    const results = {
      role: 'tool' as const,
      results: [{ callId: call.callId, tool: 'weather', isError: false, parts: [{ type: 'text' as const, text: '31 degrees' }] }],
    };
    const second = await collect(model.stream({ ...first, messages: [...first.messages, kept, results] }, never));

    expect(textOf(second.message)).toBe('Sunny');
    expect(server.asked[1]?.earlierCalls).toEqual([{ tool: 'weather', input: { city: 'Córdoba "AR"' } }]);
    expect(server.asked[1]?.results).toEqual(['31 degrees']);
    if (['openai', 'gemini'].includes(wire.kind)) expect(JSON.stringify(server.asked[1]?.body)).toContain('sealed-thought');
    if (wire.kind === 'anthropic') expect(JSON.stringify(server.asked[1]?.body)).toContain('signed-thought');
  });

  test('parallel calls are kept apart', async () => {
    const calls = ['Rome', 'Oslo', 'Lima'].map((city, index) => ({ id: `call_${index}`, tool: 'weather', input: { city } }));
    server.next({ say: { calls } });

    const { message } = await collect(model.stream(ask('Weather?', { tools: [WEATHER] }), never));

    const made = toolCallsOf(message);
    expect(made.map((call) => readArguments(call))).toEqual(calls.map(({ input }) => ({ input })));
    expect(new Set(made.map(({ callId }) => callId)).size).toBe(3);
  });

  test('an image of the person reaches the model', async () => {
    if (wire.lacks?.includes('images')) return;
    await collect(
      model.stream(
        {
          model: GOOD_MODEL,
          messages: [
            {
              role: 'user',
              parts: [
                { type: 'text', text: 'What is this?' },
                { type: 'image', mediaType: 'image/png', base64: PIXEL },
              ],
            },
          ],
        },
        never,
      ),
    );

    expect(server.asked[0]?.images).toEqual([{ mediaType: 'image/png', base64: PIXEL }]);
  });

  test('an image in the result of a tool reaches the model as an image', async () => {
    if (wire.lacks?.includes('images')) return;
    const request = ask('Look', { tools: [WEATHER] });
    await collect(
      model.stream(
        {
          ...request,
          messages: [
            ...request.messages,
            { role: 'assistant', parts: [{ type: 'tool_call', callId: 'c1', tool: 'weather', argumentsText: '{"city":"Rome"}' }] },
            {
              role: 'tool',
              results: [
                {
                  callId: 'c1',
                  tool: 'weather',
                  isError: false,
                  parts: [
                    { type: 'text', text: 'the map' },
                    { type: 'image', mediaType: 'image/png', base64: PIXEL },
                  ],
                },
              ],
            },
          ],
        },
        never,
      ),
    );

    expect(server.asked[0]?.images).toEqual([{ mediaType: 'image/png', base64: PIXEL }]);
    expect(server.asked[0]?.results.join('')).toContain('the map');
    expect(server.asked[0]?.results.join('')).not.toContain(PIXEL);
  });

  test('a call with unreadable arguments can be told to the model without the request being refused', async () => {
    const request = ask('x', { tools: [WEATHER] });
    await collect(
      model.stream(
        {
          ...request,
          messages: [
            ...request.messages,
            { role: 'assistant', parts: [{ type: 'tool_call', callId: 'c1', tool: 'weather', argumentsText: '{"city": "Ro' }] },
            {
              role: 'tool',
              results: [
                { callId: 'c1', tool: 'weather', isError: true, parts: [{ type: 'text', text: 'the arguments are not valid JSON' }] },
              ],
            },
          ],
        },
        never,
      ),
    );

    expect(server.asked[0]?.earlierCalls).toEqual([{ tool: 'weather', input: { unreadable_arguments: '{"city": "Ro' } }]);
    expect(server.asked[0]?.results.join('')).toContain('the arguments are not valid JSON');
  });

  test('an answer by schema is asked for as strictly as promised, and is JSON', async () => {
    server.next({ say: { text: '{"answer":42}' } }, { say: { text: 'forty-two' } });
    const request = ask('x', {
      output: {
        name: 'answer',
        schema: { type: 'object', properties: { answer: { type: 'number' } }, required: ['answer'], additionalProperties: false },
      },
    });

    const { message } = await collect(model.stream(request, never));

    expect(JSON.parse(textOf(message))).toEqual({ answer: 42 });
    const promised = model.capabilities(GOOD_MODEL).structuredOutput;
    // Where a model is unknown to Anthropic's adapter, a forced tool carries the shape.
    expect(server.asked[0]?.output).toBe(wire.kind === 'anthropic' ? 'prompt' : promised);
    const failure = await failureOf(model.stream(request, never));
    expect(failure.error.code).toBe('model.bad_response');
  });

  test('the output limit is passed on as it is', async () => {
    await collect(model.stream(ask('x', { maxOutputTokens: 5000, reasoning: 'high' }), never));

    expect(server.asked[0]?.maxOutputTokens).toBe(5000);
  });

  test('an answer cut by the output limit says so', async () => {
    server.next({ say: { text: 'Once upon a', stop: 'length' } });

    expect(await collect(model.stream(ask('x'), never))).toMatchObject({ ending: 'length' });
  });

  const refusals: { why: Refusal; code: string; next: RegExp }[] = [
    { why: 'overflow', code: 'model.context_overflow', next: /helix models list/ },
    { why: 'rate', code: 'model.rate_limited', next: /fallback/ },
    { why: 'credit', code: 'model.quota_spent', next: /credit/ },
    { why: 'overloaded', code: 'model.overloaded', next: /fallback/ },
    { why: 'broken', code: 'model.vendor_failed', next: /try again/ },
  ];
  test.each(refusals.filter(({ why }) => wire.unknownRefusals?.[why] === undefined))(
    '$why is told as $code',
    async ({ why, code, next }) => {
      server.next({ refuse: why });

      const { error } = await failureOf(model.stream(ask('x'), never));

      expect(error).toMatchObject({ code, next: expect.stringMatching(next) });
      if (why === 'rate') expect(error.details).toMatchObject({ retryAfterMs: 7000 });
      expect(server.asked).toHaveLength(1);
    },
  );

  test('a prompt longer than the context is told as such', async () => {
    const { error } = await failureOf(model.stream(ask('word '.repeat(50_000)), never));

    expect(error.code).toBe('model.context_overflow');
  });

  test('an unknown model is told with what to do', async () => {
    const { error } = await failureOf(model.stream(ask('x', { model: 'no-such-model' }), never));

    expect(error).toMatchObject({ code: 'model.unknown', next: expect.stringMatching(/helix models (list|pull)/) });
    expect(error.message).toContain('no-such-model');
  });

  test('a wrong key is refused with what to do, and stands in no message', async () => {
    if (!wire.keyOf) return;
    const wrong = await open({ apiKey: 'test-bad-key-6789' });

    const { error } = await failureOf(wrong.stream(ask('x'), never));

    expect(error).toMatchObject({ code: 'model.auth_refused', next: expect.stringMatching(/helix models test|key/) });
    expect(JSON.stringify(error.toFact()) + String(error.stack) + String(error.cause)).not.toContain('test-bad-key-6789');
    const report = await wrong.validateConfig(never);
    expect(report.problems.map(({ code }) => code)).toEqual(['model.auth_refused']);
  });

  test('a good configuration is found good without a model being asked', async () => {
    const report = await model.validateConfig(never);

    expect(report.problems).toEqual([]);
    if (wire.kind !== 'openrouter') expect(report.models).toEqual([GOOD_MODEL]);
    expect(server.asked).toEqual([]);
  });

  test.each(['end', 'reset'] as const)('a stream cut in mid-answer (%s) is an error', async (goesBy) => {
    server.next({
      say: { text: 'Half of it', calls: [{ id: 'c1', tool: 'weather', input: { city: 'Rome' } }] },
      pieces: wire.answer({ text: 'Half of it' }, GOOD_MODEL).length - (wire.kind === 'openai' || wire.kind === 'xai' ? 1 : 2),
      goesBy,
    });

    const { error } = await failureOf(model.stream(ask('x', { tools: [WEATHER] }), never));

    expect(error.code).toBe('model.stream_cut');
  });

  test('a stream cut inside a tool call makes no call', async () => {
    if (wire.lacks?.includes('argumentPieces')) return;
    const say = { calls: [{ id: 'c1', tool: 'weather', input: { city: 'Rome' } }] };
    const firstHalf = wire.answer(say, GOOD_MODEL).findIndex((piece) => piece.includes('"{') && piece.includes('cit'));
    server.next({ say, pieces: firstHalf + 1, goesBy: 'end' });

    const failure = await failureOf(model.stream(ask('x', { tools: [WEATHER] }), never));

    expect(failure.error.code).toBe('model.stream_cut');
    expect(toolCallsOf(failure.partial)).toEqual([]);
  });

  test('a malformed stream is an error', async () => {
    server.next({ say: { text: 'Hello, world' }, garbledPiece: 1 });

    const { error } = await failureOf(model.stream(ask('x'), never));

    expect(error.code).toBe('model.bad_response');
  });

  test('a failure told inside the stream is an error', async () => {
    if (wire.failure === undefined) return;
    server.next({ failInStream: true });

    const { error } = await failureOf(model.stream(ask('x'), never));

    expect(error.code).toBe(wire.kind === 'anthropic' ? 'model.overloaded' : 'model.vendor_failed');
  });

  test('a slow stream is read to its end', async () => {
    server.next({ say: { text: 'Hello, world' }, pauseMs: 20 });

    expect(textOf((await collect(model.stream(ask('x'), never))).message)).toBe('Hello, world');
  });

  test('a silent stream is given up, and hung up on', async () => {
    const impatient = await open({ silenceMs: 150 });
    server.next({ say: { text: 'Hello, world' }, pieces: 2, goesBy: 'silence' });

    const { error } = await failureOf(impatient.stream(ask('x'), never));

    expect(error).toMatchObject({ code: 'model.stream_cut', message: expect.stringContaining('0.15 s') });
    await server.hungUp;
  });

  test('aborting ends the stream and hangs up on the vendor', async () => {
    const stop = new AbortController();
    server.next({ say: { text: 'Hello, world' }, pieces: 2, goesBy: 'silence' });
    void server.silent.then(() => stop.abort());

    const { error } = await failureOf(model.stream(ask('x'), stop.signal));

    expect(error.code).toBe('model.cancelled');
    await server.hungUp;
  });

  test('leaving the loop hangs up on the vendor', async () => {
    const say = { think: 'Hm', text: 'Hello, world' };
    server.next({ say, pieces: wire.answer(say, GOOD_MODEL).length - 1, goesBy: 'silence' });

    for await (const event of model.stream(ask('x'), never)) if (event.type === 'text' || event.type === 'reasoning') break;

    await server.hungUp;
  });

  test('a call cancelled before it began asks nobody', async () => {
    const { error } = await failureOf(model.stream(ask('x'), AbortSignal.abort()));

    expect(error.code).toBe('model.cancelled');
    expect(server.asked).toEqual([]);
  });

  test('an address where nobody answers is told as unreachable', async () => {
    const nobody = await open({ baseUrl: 'http://127.0.0.1:9/v1' });

    const { error } = await failureOf(nobody.stream(ask('x'), never));

    expect(error).toMatchObject({ code: 'model.unreachable', message: expect.stringContaining('ECONNREFUSED') });
    expect((await nobody.validateConfig(never)).problems[0]).toMatchObject({ code: 'model.unreachable' });
  });

  test('nothing but the chat is asked', async () => {
    await collect(model.stream(ask('x'), never));

    expect(server.paths.filter((path) => !wire.isChat(path) && path !== '/api/show')).toEqual([]);
  });
});

test('a provider without its key is refused before anybody is asked', async () => {
  const model = await openProvider('anthropic', { baseUrl: 'http://127.0.0.1:9' });

  const { error } = await failureOf(model.stream(ask('x'), never));

  expect(error).toMatchObject({ code: 'model.config_invalid', next: expect.stringContaining('ANTHROPIC_API_KEY') });
  expect((await model.validateConfig(never)).problems).toEqual([error]);
});

test('an unknown kind of provider is told with the nearest name', async () => {
  const refused = await openProvider('antropic', {}).catch((error: unknown) => error);

  expect(refused).toBeInstanceOf(CodedError);
  expect((refused as CodedError).message).toContain('did you mean anthropic?');
});
