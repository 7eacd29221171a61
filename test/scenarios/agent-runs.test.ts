import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { collect, type ModelRequest } from '@helixcode/llm/model-port';
import { openProvider } from '@helixcode/llm/providers/open-provider';
import type { SessionEntryView, SessionView } from '@helixcode/protocol/api/session-views';
import type { TaskDetail } from '@helixcode/protocol/api/views';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { snapshotOf } from '../support/hand-in.ts';
import { type AskedOfModel, type ModelServer, type Said, startModelServer } from '../support/model-server.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const home = givenHome();
const env = { HELIX_WORKERS_HEARTBEAT_MS: '500', HELIX_CONFIG: path.join(home, 'helix.json') };
let server: ServerProcess;
let model: ModelServer;
let code: { project: string; commit: string };
/** What the model says in the conversation that begins with this goal. */
const scripts = new Map<string, Said[] | ((turn: number, request: AskedOfModel) => Said)>();

beforeAll(async () => {
  model = await startModelServer((turn, request) => {
    // What else is said before the first answer may stand in the same message.
    const first = textOf(request.messages.find(({ role }) => role === 'user')?.content);
    const [, script = []] = [...scripts].filter(([goal]) => first.startsWith(goal)).sort(([a], [b]) => b.length - a.length)[0] ?? [];
    return (typeof script === 'function' ? script(turn, request) : script[turn]) ?? { text: 'There is nothing more to do.' };
  });
  writeFileSync(
    path.join(home, 'helix.json'),
    JSON.stringify({
      providers: {
        pool: [{ kind: 'openai-compatible', name: 'local', baseUrl: model.baseUrl, models: { scripted: { contextTokens: 100_000 } } }],
        default: ['local/scripted'],
      },
    }),
  );
  server = await startServer(home, env);
  const folder = path.join(home, 'code');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'adder', type: 'module', scripts: { test: 'node --test' } }));
  writeFileSync(path.join(folder, 'add.js'), 'export const add = (a, b) => a - b;\n');
  writeFileSync(
    path.join(folder, 'add.test.js'),
    "import { test } from 'node:test';\nimport assert from 'node:assert';\nimport { add } from './add.js';\ntest('adds', () => assert.equal(add(2, 3), 5));\n",
  );
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: folder });
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
  code = await snapshotOf(server.client, folder);
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(async () => {
  await removeServer(server);
  await model.stop();
}, 60_000);

const MEND: Said = { calls: [{ tool: 'edit', input: { path: 'add.js', old: 'a - b', new: 'a + b' } }] };

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? content.map((part: { text?: string }) => part.text ?? '').join('') : '';
}

async function start(
  goal: string,
  script: Said[] | ((turn: number, request: AskedOfModel) => Said),
  more: object = {},
): Promise<SessionView> {
  scripts.set(goal, script);
  return server.client.call('sessions.start', { body: { ...code, goal, ...more } });
}

async function entriesOf(session: string): Promise<SessionEntryView[]> {
  return (await server.client.call('sessions.entries', { params: { session } })).items;
}

/** What tools answered, in order. */
async function answersOf(session: string): Promise<string[]> {
  return (await entriesOf(session)).filter(({ type }) => type.startsWith('tool_') && type !== 'tools_started').map(({ text = '' }) => text);
}

const asked = (root: string) => eventOf(server, `task:${root}`, ({ body }) => body.type === 'approval.asked');
const openApprovals = async (session: string) => (await server.client.call('approvals.list', { query: { session } })).items;

/** A file as the agent left it, from the bundle of its changes. */
async function changedFile(session: string, file: string): Promise<string> {
  const response = await server.client.call('sessions.changes', { params: { session } });
  const commit = response.headers.get('helix-commit') ?? '';
  const bundle = path.join(home, `${session}.bundle`);
  writeFileSync(bundle, Buffer.from(await response.arrayBuffer()));
  const repository = path.join(home, 'code');
  execFileSync('git', ['fetch', '-q', bundle, '+refs/*:refs/fetched/*'], { cwd: repository });
  return execFileSync('git', ['show', `${commit}:${file}`], { cwd: repository, encoding: 'utf8' });
}

test('an agent mends a fault, and is done because the suite passed at its files [M1] [F1]', async () => {
  const session = await start('Mend the addition.', [
    { text: 'I look.', calls: [{ tool: 'read', input: { path: 'add.js' } }] },
    MEND,
    { calls: [{ tool: 'shell', input: { command: 'node --test 2>&1 | tail -3' } }] },
    { text: 'It added the wrong way round; now it adds.' },
  ]);
  const end = await taskIsSettled(server, session.task);
  expect(end).toMatchObject({
    state: 'completed',
    result: { proof: 'verified', changedFiles: ['add.js'], receipts: [expect.any(String)] },
  });
  const [receipt = ''] = (end.result as { receipts: string[] }).receipts;
  expect(await server.client.call('receipts.get', { params: { receipt } })).toMatchObject({
    receipt: { kind: 'test', tests: { passed: 1, failed: 0 } },
  });
  expect((await entriesOf(session.id)).map(({ type }) => type)).toEqual([
    'began',
    ...['model_answered', 'tools_started', 'tool_finished'],
    ...['model_answered', 'tools_started', 'tool_finished'],
    ...['model_answered', 'tools_started', 'tool_finished'],
    ...['model_answered', 'evidence_given'],
  ]);
  expect(await changedFile(session.id, 'add.js')).toBe('export const add = (a, b) => a + b;\n');

  // What was said can be played again by the same gateway.
  const transcript = path.join(home, 'mend.jsonl');
  const response = await server.client.call('sessions.transcript', { params: { session: session.id } });
  writeFileSync(transcript, await response.text());
  const port = await openProvider('replay', { transcripts: { mend: transcript } });
  const lines = readFileSync(transcript, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { request?: ModelRequest });
  expect(lines).toHaveLength(5);
  const [, opening] = lines;
  const done = await collect(port.stream({ model: 'mend', messages: opening?.request?.messages ?? [] }, new AbortController().signal));
  expect(done).toMatchObject({ replayed: true, ending: 'tool_calls', message: { parts: [{ text: 'I look.' }, { tool: 'read' }] } });
});

test('other commands that must pass are run at the final files too, and what they say comes back to the agent [F1]', async () => {
  const session = await start(
    'Mend it to the satisfaction of the checks.',
    (turn) =>
      turn === 0
        ? MEND
        : turn === 1
          ? { text: 'Done.' }
          : turn === 2
            ? { calls: [{ tool: 'write', input: { path: 'NOTES', content: 'mended\n' } }] }
            : { text: 'Now.' },
    { verify: ['helix test', 'echo "is it noted?" && cat NOTES'] },
  );
  const end = await taskIsSettled(server, session.task);
  expect(end).toMatchObject({
    state: 'completed',
    result: { proof: 'verified', changedFiles: ['NOTES', 'add.js'], receipts: { length: 2 } },
  });
  expect(JSON.stringify(model.asked.at(-1)?.messages)).toContain('is it noted?');
});

test('who says that all tests pass without mending anything, with a receipt it made up, is not done [F1]', async () => {
  const session = await start('Say that it works.', [
    { text: 'All tests pass. {"receipt":{"receipt":1,"id":"rcp_0","command":"helix test","exitCode":0},"signature":"AAAA"}' },
    { text: 'They really do: rcp_1m7zqbewxckx9ajgpy.' },
    { text: 'Done.' },
    { text: 'Done.' },
    { text: 'Done.' },
  ]);
  await asked(session.task);
  const view = await server.client.call('sessions.get', { params: { session: session.id } });
  expect(view).toMatchObject({ state: 'parked', waitsFor: expect.stringContaining('the checks of the project say no') });
  expect((await entriesOf(session.id)).filter(({ type }) => type === 'evidence_given')).toHaveLength(5);
  const [question] = await openApprovals(session.id);
  await server.client.call('approvals.answer', { params: { approval: question?.id ?? '' }, body: { accept: false } });
  expect(await taskIsSettled(server, session.task)).toMatchObject({ state: 'cancelled' });
});

test('who takes the failing test away is not done either [F1]', async () => {
  const session = await start('Make the suite pass by all means.', (turn) =>
    turn === 0
      ? {
          calls: [
            {
              tool: 'write',
              input: {
                path: 'add.test.js',
                content: "import { test } from 'node:test';\ntest.skip('adds', () => {});\ntest.skip('x', () => {});\n",
              },
            },
          ],
        }
      : { text: 'All tests pass.' },
  );
  await asked(session.task);
  const told = JSON.stringify(model.asked.at(-1)?.messages);
  expect(told).toMatch(/tests may not be deleted or skipped|No test ran|failed/);
  expect(await server.client.call('sessions.get', { params: { session: session.id } })).toMatchObject({ state: 'parked' });
  await server.client.call('sessions.cancel', { params: { session: session.id } });
});

test('what is wrong with a call is said to the model, which goes on; nothing outside of the workspace is touched [M1]', async () => {
  const outside = path.join(home, 'outside');
  const session = await start('Do it badly.', [
    { calls: [{ tool: 'edit', input: { path: 'add.js' } }] },
    { calls: [{ tool: 'reed', input: { path: 'add.js' } }] },
    { calls: [{ tool: 'write', input: { path: '../../../outside', content: 'x' } }] },
    { calls: [{ tool: 'shell', input: { command: 'head -c 5000000 /dev/zero | tr "\\0" x' } }] },
    { calls: [{ tool: 'shell', input: { command: 'cat; echo "no input"' } }] },
    { calls: [{ tool: 'shell', input: { command: 'sleep 600', seconds: 1 } }] },
    { calls: [{ tool: 'shell', input: { command: 'printf "a\\0b" >blob; exit 3' } }] },
    { calls: [{ tool: 'read', input: { path: 'blob' } }] },
    MEND,
    { text: 'Done.' },
  ]);
  expect(await taskIsSettled(server, session.task)).toMatchObject({ state: 'completed', result: { proof: 'verified' } });
  const answers = await answersOf(session.id);
  expect(answers).toMatchObject([
    expect.stringContaining('outside of the workspace'),
    expect.stringContaining('exit code 0'),
    expect.stringContaining('no input'),
    expect.stringContaining('not over after 1 seconds'),
    expect.stringContaining('exit code 3'),
    expect.stringContaining('binary file'),
    expect.stringContaining('edited add.js'),
  ]);
  // What is no call at all is answered without anything being done.
  const told = JSON.stringify(model.asked.at(-1)?.messages);
  expect(told).toContain('arguments of edit are wrong');
  expect(told).toContain('did you mean read?');
  expect(() => readFileSync(outside)).toThrow();
  // The whole output of 5 MB is not sent to the model.
  expect(Math.max(...model.asked.map(({ bytes }) => bytes))).toBeLessThan(400_000);
});

test('a question waits for a person, also while the server is away, and the work goes on with the answer [M5]', async () => {
  const session = await start('Ask first.', [
    { calls: [{ tool: 'ask', input: { question: 'Plus or minus?', options: ['plus', 'minus'] } }] },
    MEND,
    { text: 'Done as you said.' },
  ]);
  await asked(session.task);
  await server.kill();
  server = await startServer(home, env);
  const [question] = await openApprovals(session.id);
  expect(question).toMatchObject({ kind: 'question', question: 'Plus or minus?', options: ['plus', 'minus'] });
  await server.client.call('approvals.answer', { params: { approval: question?.id ?? '' }, body: { text: 'plus' } });
  expect(await taskIsSettled(server, session.task)).toMatchObject({ state: 'completed', result: { proof: 'verified' } });
  expect((await answersOf(session.id))[0]).toContain('A person answers: plus');
  await expect(
    server.client.call('approvals.answer', { params: { approval: question?.id ?? '' }, body: { text: 'minus' } }),
  ).rejects.toMatchObject({ code: 'approval.answered' });
});

test('after kill -9 of the server a run goes on from its last turn: a command that ran meanwhile is not run again [F3]', async () => {
  const command = 'echo begun >>count; while ! [ -e go ]; do sleep 0.05; done; echo ended >>count; rm go';
  const session = await start('Count.', [MEND, { calls: [{ tool: 'shell', input: { command } }] }, { text: 'Counted.' }]);
  const found = (): string[] => globSync(path.join(home, 'local/**/trees/*/*/count'));
  await expect.poll(() => found().map((count) => readFileSync(count, 'utf8'))).toEqual(['begun\n']);
  const [count = ''] = found();
  await server.kill();
  writeFileSync(path.join(path.dirname(count), 'go'), '');
  server = await startServer(home, env);
  expect(await taskIsSettled(server, session.task)).toMatchObject({ state: 'completed', result: { changedFiles: ['add.js', 'count'] } });
  expect(await changedFile(session.id, 'count')).toBe('begun\nended\n');
  expect((await answersOf(session.id))[1]).toContain('exit code 0');
  // No turn was asked for twice but the one in flight.
  expect((await entriesOf(session.id)).filter(({ type }) => type === 'model_answered')).toHaveLength(3);
});

test('what a person says is read before the next step, and opens what has ended [M1]', async () => {
  const session = await start('Mend it and wait.', (turn, { messages }) => {
    const words = messages.filter(({ role }) => role === 'user').map(({ content }) => textOf(content));
    if (turn === 0) return MEND;
    if (words.some((word) => word.includes('a comment'))) {
      if (!JSON.stringify(messages).includes('// adds'))
        return { calls: [{ tool: 'edit', input: { path: 'add.js', old: 'export', new: '// adds\nexport' } }] };
      return { text: 'With a comment now.' };
    }
    return { text: 'Mended.' };
  });
  await taskIsSettled(server, session.task);
  const again = await server.client.call('sessions.say', { params: { session: session.id }, body: { text: 'Please add a comment.' } });
  expect(again.task).not.toBe(session.task);
  expect(await taskIsSettled(server, again.task)).toMatchObject({
    state: 'completed',
    result: { text: 'With a comment now.', proof: 'verified' },
  });
  expect(await changedFile(session.id, 'add.js')).toBe('// adds\nexport const add = (a, b) => a + b;\n');
});

test('a session is taken back with its files, and a fork goes its own way [F3]', async () => {
  const goal = 'Go one way, then another.';
  const session = await start(goal, (turn, { messages }) => {
    const last = textOf(messages.findLast(({ role }) => role === 'user')?.content);
    if (turn === 0) return MEND;
    if (last.includes('say more') && !JSON.stringify(messages.at(-1)).includes('b.txt'))
      return { calls: [{ tool: 'shell', input: { command: 'cat add.js; echo b >b.txt; ls b.txt' } }] };
    return turn === 1 ? { calls: [{ tool: 'shell', input: { command: 'echo a >a.txt' } }] } : { text: 'Here.' };
  });
  await taskIsSettled(server, session.task);
  const entries = await entriesOf(session.id);
  const mended = entries.find(({ type }) => type === 'tool_finished');
  const fork = await server.client.call('sessions.fork', {
    params: { session: session.id },
    body: { entry: mended?.id ?? 0, text: 'say more' },
  });
  expect(fork).toMatchObject({ forkOf: session.id });
  expect(await taskIsSettled(server, fork.task)).toMatchObject({ state: 'completed', result: { changedFiles: ['add.js', 'b.txt'] } });
  expect((await answersOf(fork.id)).at(-1)).toContain('a + b');

  const back = await server.client.call('sessions.rewind', { params: { session: session.id }, body: { entry: mended?.id ?? 0 } });
  await asked(back.task);
  await server.client.call('sessions.say', { params: { session: session.id }, body: { text: 'say more' } });
  expect(await taskIsSettled(server, back.task)).toMatchObject({ state: 'completed', result: { changedFiles: ['add.js', 'b.txt'] } });
  await expect(server.client.call('sessions.rewind', { params: { session: session.id }, body: { entry: 1 } })).rejects.toMatchObject({
    code: 'session.entry_not_found',
  });
});

test('a part of the work is done by another agent, and its change is put into the files of the first [M4] [F5]', async () => {
  scripts.set('Mend the addition for me.', [MEND, { text: 'It adds.' }]);
  const session = await start('Have it mended.', [
    { calls: [{ tool: 'shell', input: { command: 'echo mine >mine.txt' } }] },
    { calls: [{ tool: 'spawn', input: { goal: 'Mend the addition for me.', minutes: 5 } }] },
    { calls: [{ tool: 'shell', input: { command: 'cat add.js mine.txt' } }] },
    { text: 'It was mended.' },
  ]);
  const end: TaskDetail = await taskIsSettled(server, session.task);
  expect(end).toMatchObject({ state: 'completed', result: { proof: 'verified', changedFiles: ['add.js', 'mine.txt'] } });
  const answers = await answersOf(session.id);
  expect(answers[1]).toContain('It changed: add.js');
  expect(answers[2]).toContain('a + b');
  const { items } = await server.client
    .call('usage.get', { query: { by: 'run' } })
    .then(({ items }) => ({ items: items.filter(({ key }) => key === session.id) }));
  // Both are paid from one purse: four answers of the first, two of the second.
  expect(items).toMatchObject([{ calls: 6 }]);
});

test('a plan that is agreed to runs as a tree; a change that does not fit another one goes back to the agent that made it [M4] [F5]', async () => {
  const part = (id: string, title: string, more: object) => ({
    id,
    title,
    kind: 'agent',
    detail: 'As it says.',
    needs: [],
    files: ['add.js'],
    minutes: 1,
    costUsd: 0,
    ...more,
  });
  const goalOf = (title: string): string => `${title}\n\nAs it says.\n\nFiles it will probably change: add.js`;
  scripts.set(goalOf('Mend it'), [MEND, { text: 'It adds.' }]);
  scripts.set(goalOf('Name it'), (turn, { messages }) => {
    const isBack = messages.some(({ role, content }) => role === 'user' && textOf(content).includes('does not fit'));
    if (turn === 0) return { calls: [{ tool: 'edit', input: { path: 'add.js', old: 'a - b;', new: 'a - b; // sum' } }] };
    if (!isBack) return { text: 'Named.', afterMs: 3_000 };
    if (turn === 2) return { calls: [{ tool: 'read', input: { path: 'add.js' } }] };
    if (turn === 3)
      return { calls: [{ tool: 'write', input: { path: 'add.js', content: 'export const add = (a, b) => a + b; // sum\n' } }] };
    return { text: 'Both hold now.' };
  });
  const session = await start(
    'Mend and name it.',
    [
      { calls: [{ tool: 'read', input: { path: 'add.js' } }] },
      {
        calls: [
          {
            tool: 'plan',
            input: {
              summary: 'Two changes at once, then a look.',
              subtasks: [
                part('mend', 'Mend it', {}),
                part('name', 'Name it', {}),
                part('look', 'Look', { kind: 'shell', detail: 'grep -q "a + b; // sum" add.js', needs: ['mend', 'name'], files: [] }),
              ],
              risks: [],
            },
          },
        ],
      },
    ],
    { mode: 'plan', verify: ['helix test', 'grep -q sum add.js'] },
  );
  await asked(session.task);
  const [plan] = await openApprovals(session.id);
  expect(plan).toMatchObject({ kind: 'plan', question: 'Two changes at once, then a look.', plan: { totals: { minutes: 3 } } });
  await server.client.call('approvals.answer', { params: { approval: plan?.id ?? '' }, body: {} });
  const end = await taskIsSettled(server, session.task);
  expect(end).toMatchObject({ state: 'completed', result: { changedFiles: ['add.js'], proof: 'verified', receipts: { length: 2 } } });
  expect(await changedFile(session.id, 'add.js')).toBe('export const add = (a, b) => a + b; // sum\n');
}, 120_000);

test('what the policy denies is not done, what it asks for waits for a person, and no key is where an agent can see it [S3]', async () => {
  const secret = path.join(home, 'owner-token');
  const session = await start('Try what you may not.', [
    { calls: [{ tool: 'shell', input: { command: 'git push origin HEAD' } }] },
    { calls: [{ tool: 'shell', input: { command: 'rm -rf / --no-preserve-root' } }] },
    { calls: [{ tool: 'shell', input: { command: `cat ${secret}; env; ls ${home}` } }] },
    MEND,
    { text: 'Done.' },
  ]);
  for (let isOver = false; !isOver; ) {
    const [question] = await openApprovals(session.id);
    if (question) {
      expect(question.kind).toBe('permission');
      await server.client.call('approvals.answer', { params: { approval: question.id }, body: { accept: false, text: 'no' } });
    }
    isOver = (await server.client.call('tasks.get', { params: { task: session.task } })).finishedAt !== undefined;
  }
  expect(await taskIsSettled(server, session.task)).toMatchObject({ state: 'completed' });
  const told = (await answersOf(session.id)).join('\n');
  expect(told).toMatch(/not done: .*push/);
  expect(told).not.toContain(readFileSync(secret, 'utf8').trim());
  expect(told).not.toContain('HELIX_HOME');
});

test('at its limit of turns a run asks, and goes on when it is let [F4]', async () => {
  const session = await start(
    'Look about.',
    (turn) => (turn < 4 ? { calls: [{ tool: 'list', input: { folder: '', depth: turn + 1 } }] } : turn === 4 ? MEND : { text: 'Done.' }),
    {
      turns: 3,
    },
  );
  await asked(session.task);
  const [question] = await openApprovals(session.id);
  expect(question).toMatchObject({ kind: 'parked', question: expect.stringContaining('all of its 3 turns') });
  await server.client.call('approvals.answer', { params: { approval: question?.id ?? '' }, body: { turns: 10 } });
  expect(await taskIsSettled(server, session.task)).toMatchObject({ state: 'completed' });
});

test('a model that says the same over and over is hung up on, and a person is asked after the third time [M1]', async () => {
  const session = await start('Babble.', () => ({ text: 'I will now look at the file. '.repeat(400) }));
  await asked(session.task);
  expect((await openApprovals(session.id))[0]?.question).toContain('says the same over and over');
  await server.client.call('sessions.cancel', { params: { session: session.id } });
});

test('a model that makes the same call again and again is stopped, and a person is asked [M1]', async () => {
  const session = await start('Go in circles.', () => ({ calls: [{ tool: 'read', input: { path: 'add.js' } }] }));
  await asked(session.task);
  expect((await openApprovals(session.id))[0]?.question).toContain('goes in circles');
  await server.client.call('sessions.cancel', { params: { session: session.id } });
});
