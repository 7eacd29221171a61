import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { snapshotOf } from '../support/hand-in.ts';
import { type ModelServer, type Said, startModelServer } from '../support/model-server.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const home = givenHome();
let server: ServerProcess;
let model: ModelServer;
let code: { project: string; commit: string };
let script: Said[] = [];

beforeAll(async () => {
  model = await startModelServer((turn) => script[turn] ?? { text: 'There is nothing more to do.' });
  writeFileSync(
    path.join(home, 'helix.json'),
    JSON.stringify({
      providers: {
        pool: [{ kind: 'openai-compatible', name: 'local', baseUrl: model.baseUrl, models: { scripted: { contextTokens: 100_000 } } }],
        default: ['local/scripted'],
      },
    }),
  );
  server = await startServer(home, { HELIX_WORKERS_HEARTBEAT_MS: '500', HELIX_CONFIG: path.join(home, 'helix.json') });
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

test('an agent mends a fault, and is done because the suite passed at its files [M1] [F1]', async () => {
  script = [
    { text: 'I look.', calls: [{ tool: 'read', input: { path: 'add.js' } }] },
    { calls: [{ tool: 'edit', input: { path: 'add.js', old: 'a - b', new: 'a + b' } }] },
    { calls: [{ tool: 'shell', input: { command: 'node --test 2>&1 | tail -3; echo hi' } }] },
    { text: 'It added the wrong way round; now it adds.' },
  ];
  const session = await server.client.call('sessions.start', { body: { ...code, goal: 'Mend the addition.' } });
  const end = await taskIsSettled(server, session.task);
  expect(end).toMatchObject({
    state: 'completed',
    result: { proof: 'verified', changedFiles: ['add.js'], receipts: [expect.any(String)] },
  });
  const { receipt } = await server.client.call('receipts.get', {
    params: { receipt: (end.result as { receipts: string[] }).receipts[0] ?? '' },
  });
  expect(receipt).toMatchObject({ kind: 'test', tests: { passed: 1, failed: 0 } });
  const { items } = await server.client.call('sessions.entries', { params: { session: session.id } });
  expect(items.map(({ type }) => type)).toEqual([
    'began',
    ...['model_answered', 'tools_started', 'tool_finished'],
    ...['model_answered', 'tools_started', 'tool_finished'],
    ...['model_answered', 'tools_started', 'tool_finished'],
    ...['model_answered', 'evidence_given'],
  ]);
  expect(items.filter(({ type }) => type === 'tool_finished').map(({ isError }) => isError)).toEqual([false, false, false]);
}, 60_000);
