import { describe, expect, test } from 'vitest';
import { collect, type Message, type ModelPort, type ModelRequest, textOf, toolCallsOf } from '../../src/model-port.ts';
import { anthropic } from '../../src/providers/anthropic.ts';
import { scriptedModel } from '../../src/providers/scripted.ts';
import { recordingPort } from '../../src/replay/record.ts';
import { inToolResults, type ReplayOptions, replayPort } from '../../src/replay/replay.ts';
import { parseTranscript, type Rewrite } from '../../src/replay/transcript.ts';
import { all, failureOf } from '../events.ts';
import { anthropicWire } from '../wire/anthropic-wire.ts';
import { SOME_USAGE } from '../wire/wire.ts';
import { GOOD_KEY, GOOD_MODEL, WireServer } from '../wire/wire-server.ts';

const never = new AbortController().signal;
const TOOL = { name: 'shell', description: 'Runs a command', inputSchema: { type: 'object' } };

/** A conversation of two turns with a tool between, whose result is given. */
async function converse(port: Parameters<typeof recordingPort>[0], result: string): Promise<string> {
  const messages: Message[] = [
    { role: 'system', text: 'Be brief', cache: '1h' },
    { role: 'user', parts: [{ type: 'text', text: 'How many files?' }] },
  ];
  const request = (): ModelRequest => ({ model: 'm', messages: [...messages], tools: [TOOL] });
  const first = await collect(port.stream(request(), never));
  const [call] = toolCallsOf(first.message);
  messages.push(first.message, {
    role: 'tool',
    results: [{ callId: call?.callId ?? '', tool: 'shell', isError: false, parts: [{ type: 'text', text: result }] }],
  });
  return textOf((await collect(port.stream(request(), never))).message);
}

const script = () =>
  scriptedModel([
    {
      reasoning: 'Look first.',
      text: 'I look.',
      calls: [{ tool: 'shell', input: { command: 'ls' } }],
      usage: { inputTokens: 10, outputTokens: 5 },
      costUsd: 0.01,
    },
    { text: 'Three.', usage: { inputTokens: 20, outputTokens: 2 }, costUsd: 0.02 },
  ]);

async function givenTranscript(rewrites: Rewrite[] = []): Promise<string> {
  let text = '';
  await converse(
    recordingPort(script(), (line) => void (text += line), { rewrites, now: () => new Date('2026-01-01') }),
    'a b c (took 12 ms)',
  );
  return text;
}

const play = (text: string, options?: ReplayOptions) => replayPort(parseTranscript(text), options);

test('a recorded conversation plays to its end without a model, says so, and costs nothing', async () => {
  const port = play(await givenTranscript());

  const events = await all(
    port.stream(
      {
        model: 'other',
        messages: [
          { role: 'system', text: 'Be brief' },
          { role: 'user', parts: [{ type: 'text', text: 'How many files?' }] },
        ],
        tools: [TOOL],
      },
      never,
    ),
  );

  expect(events.map(({ type }) => type)).toEqual(['reasoning', 'text', 'tool_call_start', 'tool_call_delta', 'tool_call', 'usage', 'done']);
  expect(events.at(-1)).toMatchObject({ replayed: true, costUsd: 0, usage: { inputTokens: 10, outputTokens: 5 } });
  expect(port.left()).toBe(1);
  expect(await converse(play(await givenTranscript()), 'a b c (took 12 ms)')).toBe('Three.');
});

test('of a conversation that goes on only what is new is written down', async () => {
  const [, first = '', second = ''] = (await givenTranscript()).split('\n');

  expect(first).toContain('How many files?');
  expect(JSON.parse(second)).toMatchObject({ continues: true, request: { messages: [{ role: 'tool' }] } });
  expect(second).not.toContain('How many files?');
  expect(parseTranscript(await givenTranscript()).exchanges[1]?.request).toMatchObject({
    messages: [{ role: 'system' }, { role: 'user' }, { role: 'assistant' }, { role: 'tool' }],
    tools: [TOOL],
  });
});

test('recording changes nothing of what the caller sees', async () => {
  expect(
    await converse(
      recordingPort(script(), () => undefined),
      'x',
    ),
  ).toBe('Three.');
});

test('a request that differs is an error that names the first difference', async () => {
  const text = await givenTranscript();

  await expect(converse(play(text), 'a b c (took 15 ms)')).rejects.toMatchObject({
    code: 'model.replay_differs',
    message:
      'this request was not recorded: messages.3.results.0.parts.0.text was "a b c (took 12 ms)" and is "a b c (took 15 ms)" (from character 14)',
    next: expect.stringContaining('helix models record'),
    details: { path: 'messages.3.results.0.parts.0.text' },
  });
});

test('what the caller tolerates may differ, the rest may not', async () => {
  const text = await givenTranscript();

  expect(await converse(play(text, { tolerate: inToolResults }), 'something else')).toBe('Three.');
  const { error } = await failureOf(
    play(text, { tolerate: inToolResults }).stream(
      { model: 'm', messages: [{ role: 'user', parts: [{ type: 'text', text: 'Hi' }] }] },
      never,
    ),
  );
  expect(error.code).toBe('model.replay_differs');
});

test('what differs from run to run can be rewritten, when recorded and when played', async () => {
  const rewrites = [{ pattern: /took \d+ ms/g, by: 'took <n> ms' }];
  const text = await givenTranscript(rewrites);

  expect(text).not.toContain('12 ms');
  expect(await converse(play(text, { rewrites }), 'a b c (took 99 ms)')).toBe('Three.');
});

test('each answer is given once', async () => {
  const port = play(await givenTranscript());
  await converse(port, 'a b c (took 12 ms)');

  await expect(converse(port, 'a b c (took 12 ms)')).rejects.toMatchObject({
    code: 'model.replay_differs',
    message: 'the recording has 2 answers, all of them given',
  });
});

test('agents side by side may ask in another order than when it was recorded', async () => {
  let text = '';
  const ask = (who: string): ModelRequest => ({ model: 'm', messages: [{ role: 'user', parts: [{ type: 'text', text: who }] }] });
  const live = recordingPort(
    scriptedModel((request) => ({ text: `hello ${JSON.stringify(request.messages).includes('Ada') ? 'Ada' : 'Bob'}` })),
    (line) => void (text += line),
  );
  await collect(live.stream(ask('Ada'), never));
  await collect(live.stream(ask('Bob'), never));
  const port = play(text);

  expect(textOf((await collect(port.stream(ask('Bob'), never))).message)).toBe('hello Bob');
  expect(textOf((await collect(port.stream(ask('Ada'), never))).message)).toBe('hello Ada');
});

test('images are kept by their hash, the state of a vendor not at all', async () => {
  let text = '';
  const port = recordingPort(scriptedModel([{ text: 'ok' }]), (line) => void (text += line));
  await collect(
    port.stream(
      {
        model: 'm',
        messages: [
          { role: 'user', parts: [{ type: 'image', mediaType: 'image/png', base64: 'QUJD'.repeat(100) }] },
          { role: 'assistant', parts: [{ type: 'reasoning', text: 'Hm', vendorState: { openai: { encrypted: 'sealed' } } }] },
        ],
      },
      never,
    ),
  );

  expect(text).not.toContain('QUJD');
  expect(text).not.toContain('sealed');
  expect(text).toContain('sha256:');
});

test('a run over a real wire, thoughts and calls included, plays again', async () => {
  const server = await new WireServer(anthropicWire).start();
  server.next(
    {
      say: {
        think: 'Look first.',
        text: 'I look.',
        calls: [{ id: 'toolu_1', tool: 'shell', input: { command: 'ls' } }],
        usage: SOME_USAGE,
      },
    },
    { say: { text: 'Three.' } },
  );
  let text = '';
  const live = anthropic({ baseUrl: server.baseUrl, apiKey: GOOD_KEY });
  const byModelName: ModelPort = { ...live, stream: (request, signal) => live.stream({ ...request, model: GOOD_MODEL }, signal) };
  expect(
    await converse(
      recordingPort(byModelName, (line) => void (text += line)),
      'a b c',
    ),
  ).toBe('Three.');
  await server.stop();

  expect(text).not.toContain('signed-thought');
  expect(text).not.toContain(GOOD_KEY);
  expect(await converse(play(text), 'a b c')).toBe('Three.');
});

describe('a transcript that is no transcript', () => {
  test.each([
    ['', /line 1: it is empty/],
    ['not json\n', /line 1/],
    ['{"transcript":2}\n', /line 1: transcript/],
    [
      '{"transcript":1,"provider":"a","written":"b","capabilities":{"tools":true,"reasoning":true,"images":true,"structuredOutput":"json"}}\n',
      /line 1: .*either recorded .* or written/,
    ],
  ])('%j is refused, naming the line', (text, message) => {
    expect(() => parseTranscript(text)).toThrow(message);
  });

  test('an answer without an end is refused', async () => {
    const [head, first = ''] = (await givenTranscript()).split('\n');
    const cut = JSON.parse(first) as { events: unknown[] };
    cut.events.pop();

    expect(() => parseTranscript(`${head}\n${JSON.stringify(cut)}\n`)).toThrow(/line 2: events: an answer ends with done/);
  });
});
