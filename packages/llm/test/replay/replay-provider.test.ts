import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { collect, type Message, type ModelPort, type ModelRequest, textOf, toolCallsOf, UNKNOWN_OUTCOME } from '../../src/model-port.ts';
import { openProvider } from '../../src/providers/open-provider.ts';
import { scriptedModel } from '../../src/providers/scripted.ts';
import { recordingPort } from '../../src/replay/record.ts';
import { failureOf } from '../events.ts';

const never = new AbortController().signal;

/** What differs between two runs of one conversation. */
interface Occasion {
  goal?: string;
  system?: string;
  results?: string[];
  isError?: boolean;
}

/** Asks until no call is left, as an agent does; what was said last. */
async function converse(port: ModelPort, model: string, occasion: Occasion = {}): Promise<string> {
  const { goal = 'How many files?', system = 'Be brief', results = [], isError = false } = occasion;
  const messages: Message[] = [
    { role: 'system', text: system },
    { role: 'user', parts: [{ type: 'text', text: goal }] },
  ];
  for (let turn = 0; ; turn++) {
    const request: ModelRequest = { model, messages: [...messages], tools: [{ name: 'shell', description: system, inputSchema: {} }] };
    const { message } = await collect(port.stream(request, never));
    const [call] = toolCallsOf(message);
    if (call === undefined) return textOf(message);
    const text = results[turn] ?? 'a b c (12 ms)';
    messages.push(message, { role: 'tool', results: [{ callId: call.callId, tool: call.tool, isError, parts: [{ type: 'text', text }] }] });
  }
}

async function givenFile(text: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'helixcode-replay-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'transcript.jsonl');
  await writeFile(file, text);
  return file;
}

async function givenRecording(occasion: Occasion = {}): Promise<string> {
  let text = '';
  const model = scriptedModel([
    { text: 'I look.', calls: [{ tool: 'shell', input: { command: 'ls' } }] },
    { calls: [{ tool: 'shell', input: { command: 'ls -a' } }] },
    { text: 'Three.' },
  ]);
  await converse(
    recordingPort(model, (lines) => void (text += lines)),
    'm',
    occasion,
  );
  return givenFile(text);
}

const open = (transcripts: Record<string, string>): Promise<ModelPort> => openProvider('replay', { transcripts });

test('a transcript plays to any number of conversations, side by side and one after the other', async () => {
  const port = await open({ files: await givenRecording() });

  expect(await Promise.all([converse(port, 'files'), converse(port, 'files')])).toEqual(['Three.', 'Three.']);
  expect(await converse(port, 'files')).toBe('Three.');
});

test('a conversation goes on at a server that has not seen its beginning', async () => {
  const file = await givenRecording();
  let calls = 0;
  const anew: ModelPort = await open({ files: file });
  const each: ModelPort = {
    ...anew,
    provider: anew.provider,
    async *stream(request, signal) {
      calls++;
      yield* (await open({ files: file })).stream(request, signal);
    },
  };

  expect(await converse(each, 'files')).toBe('Three.');
  expect(calls).toBe(3);
});

test('the system prompt, descriptions of tools, output of calls, ids, times, durations and places may be others than when it was recorded', async () => {
  const goal = (place: string, ms: number, id: string): string =>
    `It takes ${ms} ms at ${place}/src/a.js since 2026-11-0${ms}T10:00Z (${id})`;
  const file = await givenRecording({ goal: goal('/home/ada/shop', 5, 'tsk_01jd3v8k2m6q9x4t7r'), results: ['x'] });
  const port = await open({ files: file });

  const occasion = { goal: goal('/tmp/q7', 9, 'tsk_01jd3v8k2m6q9x4t80'), system: 'Be long', results: ['y', 'z'] };
  expect(await converse(port, 'files', occasion)).toBe('Three.');
});

test('another goal, or a call that fails where it did not, is an error that names the first difference', async () => {
  const port = await open({ files: await givenRecording() });

  await expect(converse(port, 'files', { goal: 'How many folders?' })).rejects.toMatchObject({
    code: 'model.replay_differs',
    message:
      'this request was not recorded: conversation.0.parts.0.text was "How many files?" and is "How many folders?" (from character 11)',
    next: expect.stringContaining('helix models record'),
  });
  await expect(converse(port, 'files', { isError: true })).rejects.toMatchObject({
    code: 'model.replay_differs',
    message: 'this request was not recorded: conversation.2.results.0.isError was false and is true',
    details: { path: 'conversation.2.results.0.isError' },
  });
});

test('a call whose outcome nobody knows is answered as if it had been recorded so', async () => {
  const port = await open({ files: await givenRecording() });

  const lost = {
    results: [`${UNKNOWN_OUTCOME}: its machine is gone. Look.`, `${UNKNOWN_OUTCOME}: its machine is gone. Look.`],
    isError: true,
  };
  expect(await converse(port, 'files', lost)).toBe('Three.');
});

test('where only the output of calls tells two answers apart, the nearer one is given', async () => {
  let text = '';
  const model = scriptedModel((request) => ({ text: JSON.stringify(request.messages).includes('green') ? 'go' : 'wait' }));
  const port = recordingPort(model, (lines) => void (text += lines));
  const after = (light: string): ModelRequest => ({
    model: 'lights',
    messages: [
      { role: 'user', parts: [{ type: 'text', text: 'Look' }] },
      { role: 'assistant', parts: [{ type: 'tool_call', callId: 'c1', tool: 'look', argumentsText: '{}' }] },
      { role: 'tool', results: [{ callId: 'c1', tool: 'look', isError: false, parts: [{ type: 'text', text: light }] }] },
    ],
  });
  for (const light of ['red', 'green']) await collect(port.stream(after(light), never));

  const replayed = await open({ lights: await givenFile(text) });
  expect(textOf((await collect(replayed.stream(after('green'), never))).message)).toBe('go');
  expect(textOf((await collect(replayed.stream(after('red'), never))).message)).toBe('wait');
});

test('a file that cannot be played is told by name, and is no hindrance to the others', async () => {
  const port = await open({ files: await givenRecording(), gone: '/nonexistent/gone.jsonl', broken: await givenFile('no transcript\n') });

  const { problems, models } = await port.validateConfig(never);
  expect(models).toEqual(['files']);
  expect(problems.map(({ message }) => message)).toEqual([
    expect.stringContaining('replay/gone: /nonexistent/gone.jsonl: ENOENT'),
    expect.stringMatching(/replay\/broken: .*transcript\.jsonl: the transcript cannot be read at line 1/),
  ]);
  const ask = (model: string) => port.stream({ model, messages: [] }, never);
  expect((await failureOf(ask('broken'))).error).toMatchObject({ code: 'model.config_invalid' });
  expect((await failureOf(ask('file'))).error).toMatchObject({
    code: 'model.unknown',
    message: 'there is no transcript file; did you mean files?',
  });
  expect(await converse(port, 'files')).toBe('Three.');
});
