import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ModelRequest } from '@helixcode/llm/model-port';
import { scriptedModel } from '@helixcode/llm/providers/scripted';
import { recordingPort } from '@helixcode/llm/replay/record';
import { inToolResults, replayPort } from '@helixcode/llm/replay/replay';
import { parseTranscript } from '@helixcode/llm/replay/transcript';
import { expect, test } from 'vitest';
import { readInstructions } from '../src/context/instructions.ts';
import { findSkills } from '../src/context/skills.ts';
import { type Beginning, beginConversation, type Conversation } from '../src/conversation.ts';
import { systemPrompt } from '../src/system-prompt.ts';
import { givenWorkspace, type LocalWorkspace } from './support/local-workspace.ts';
import { runAgent } from './support/run-agent.ts';

const CHECK = 'node sum.test.js';
const FILES = {
  'sum.js': 'exports.sum = (numbers) => numbers.reduce((a, b) => a - b, 0);\n',
  'sum.test.js': "require('node:assert').equal(require('./sum.js').sum([1, 2, 3]), 6);\n",
  'AGENTS.md': 'Use two spaces.\n',
};

async function begin(workspace: LocalWorkspace, more: Partial<Beginning> = {}): Promise<Conversation> {
  const instructions = await readInstructions(workspace, '');
  const skills = await findSkills(workspace);
  return beginConversation({
    goal: 'The sum of 1, 2 and 3 is wrong',
    mode: 'work',
    model: 'm',
    system: systemPrompt('work', { ...(instructions && { instructions }), skills }),
    contextTokens: 100_000,
    demand: { commands: [CHECK] },
    instructedFolders: [''],
    atMs: Date.now(),
    ...more,
  });
}

const mender = () =>
  scriptedModel([
    {
      text: 'I look first.',
      calls: [
        { tool: 'list', input: {} },
        { tool: 'read', input: { path: 'sum.js' } },
      ],
    },
    { calls: [{ tool: 'shell', input: { command: CHECK } }] },
    { calls: [{ tool: 'edit', input: { path: 'sum.js', old: 'a - b', new: 'a + b' } }] },
    { calls: [{ tool: 'shell', input: { command: CHECK } }] },
    { text: 'The sum subtracted; now it adds.' },
  ]);

const resultsOf = (request: ModelRequest | undefined): string[] =>
  (request?.messages ?? []).flatMap((message) =>
    message.role === 'tool'
      ? message.results.map(({ parts }) => parts.map((part) => (part.type === 'text' ? part.text : '')).join(''))
      : [],
  );

test('an agent reads, reproduces, edits, checks, and is done with receipts for the files as they are [F1]', async () => {
  await using workspace = await givenWorkspace(FILES);
  const port = mender();

  const { ending, requests } = await runAgent(await begin(workspace), { port, workspace });

  expect(ending).toEqual({ text: 'The sum subtracted; now it adds.', proof: 'verified', receipts: ['rcp_1'] });
  expect(await readFile(path.join(workspace.root, 'sum.js'), 'utf8')).toContain('a + b');
  const results = resultsOf(requests.at(-1));
  expect(results[0]).toContain('sum.test.js');
  expect(results[1]).toContain('[sum.js, lines 1-1 of 1]');
  expect(results[2]).toMatch(/^\[exit code 1\][\s\S]*AssertionError/);
  expect(results[3]).toBe('edited sum.js, line 1 (exact match)');
  expect(results[4]).toBe('[exit code 0]\n(no output)');
  expect(JSON.stringify(requests[0]?.messages[0])).toContain('Use two spaces.');
});

test('a model that lies about its tests never ends, and what failed is what it reads', async () => {
  await using workspace = await givenWorkspace(FILES);
  const liar = scriptedModel(() => ({ text: 'All tests pass. Receipt: {"id":"rcp_1","command":"node sum.test.js","exitCode":0}' }));

  const { parked, ending, requests } = await runAgent(await begin(workspace, { limits: { refusedEnds: 3 } }), { port: liar, workspace });

  expect(ending).toBeUndefined();
  expect(parked?.code).toBe('agent.not_verified');
  expect(JSON.stringify(requests[1]?.messages.at(-1))).toContain('AssertionError');
});

test('a check that changes files has to leave them as they are to count', async () => {
  await using workspace = await givenWorkspace({ count: '' });
  const port = scriptedModel(() => ({ text: 'Done.' }));

  const { parked, requests } = await runAgent(
    await begin(workspace, { demand: { commands: ['echo x >> count'] }, limits: { refusedEnds: 2 } }),
    { port, workspace },
  );

  expect(parked?.code).toBe('agent.not_verified');
  expect(JSON.stringify(requests[1]?.messages.at(-1))).toContain('ran at other files than these');
});

test('a recorded run plays again to the same end without a model', async () => {
  let transcript = '';
  {
    await using workspace = await givenWorkspace(FILES);
    await runAgent(await begin(workspace), { port: recordingPort(mender(), (line) => void (transcript += line)), workspace });
  }
  await using workspace = await givenWorkspace(FILES);
  const port = replayPort(parseTranscript(transcript), { tolerate: inToolResults });

  const { ending } = await runAgent(await begin(workspace), { port, workspace });

  expect(ending?.proof).toBe('verified');
  expect(port.left()).toBe(0);
});

test('a crash in a command: the model is told that nobody knows, and the command is not run again [F3]', async () => {
  await using workspace = await givenWorkspace({ 'counter.txt': '' });
  const port = scriptedModel([
    { calls: [{ tool: 'shell', input: { command: 'echo once >> counter.txt' } }] },
    { calls: [{ tool: 'read', input: { path: 'counter.txt' } }] },
    { text: 'It ran.' },
  ]);
  let isDead = false;

  const { ending, requests } = await runAgent(await begin(workspace, { demand: { commands: [] } }), {
    port,
    workspace,
    before: (step) => {
      if (step.do === 'learn') return step.calls.map(({ callId }) => ({ type: 'tool_unknown' as const, callId, why: 'the server died' }));
      if (step.do !== 'run_tools' || isDead || step.calls[0]?.tool !== 'shell') return undefined;
      isDead = true;
      // It ran, and the one who would have told it died.
      void workspace.run(
        { command: 'echo once >> counter.txt', folder: '', timeoutMs: 5_000, headBytes: 0, tailBytes: 0, maxOutputBytes: 100 },
        new AbortController().signal,
      );
      return [{ type: 'tools_started' as const, callIds: step.calls.map(({ callId }) => callId) }];
    },
  });

  expect(ending?.text).toBe('It ran.');
  expect(resultsOf(requests[1])[0]).toContain('outcome of this call is unknown: the server died');
  expect(workspace.commands).toEqual(['echo once >> counter.txt']);
});

test('a nearer AGENTS.md is shown with the first file read in its folder, once', async () => {
  await using workspace = await givenWorkspace({
    ...FILES,
    'web/AGENTS.md': 'Use tabs here.',
    'web/src/a.css': 'a {}',
    'web/src/b.css': 'b {}',
  });
  const port = scriptedModel([
    { calls: [{ tool: 'read', input: { path: 'sum.js' } }] },
    { calls: [{ tool: 'read', input: { path: 'web/src/a.css' } }] },
    { calls: [{ tool: 'read', input: { path: 'web/src/b.css' } }] },
    { text: 'Read.' },
  ]);

  const { requests } = await runAgent(await begin(workspace, { demand: { commands: [] } }), { port, workspace });

  const results = resultsOf(requests.at(-1));
  expect(results.map((result) => result.includes('Use tabs here.'))).toEqual([false, true, false]);
  expect(results[1]).toContain('everything in web/, before what folders above it say');
});
