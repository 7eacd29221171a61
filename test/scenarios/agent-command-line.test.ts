import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Checkout, givenCheckout, type Ran, runHelix } from '../../packages/cli/test/support.ts';
import { type ModelServer, type Said, startModelServer } from '../support/model-server.ts';
import { givenHome, removeHome } from '../support/server-process.ts';

const home = givenHome();
const checkout = { folder: path.join(home, 'code') };
let model: ModelServer;
let env: NodeJS.ProcessEnv;
let script: Said[] = [];
let code: Checkout;

const helix = (...args: string[]): Promise<Ran> => runHelix(args, { cwd: checkout.folder, env });
const sessionOf = ({ stderr }: Ran): string => /session (ses_\w+) on http/.exec(stderr)?.[1] ?? '';

beforeAll(async () => {
  model = await startModelServer((turn) => script[turn] ?? { text: 'There is nothing more to do.' });
  const pool = [{ kind: 'openai-compatible', name: 'local', baseUrl: model.baseUrl, models: { scripted: { contextTokens: 100_000 } } }];
  writeFileSync(path.join(home, 'helix.json'), JSON.stringify({ providers: { pool, default: ['local/scripted'] } }));
  env = { HELIX_HOME: home, HELIX_PORT: '0', HELIX_CONFIG: path.join(home, 'helix.json'), HELIX_WORKERS_LOCAL_SLOTS: '2' };
  if (process.env.DATABASE_URL) env.DATABASE_URL = process.env.DATABASE_URL;
  code = givenCheckout(checkout.folder);
  code.write({
    'package.json': '{ "name": "adder", "type": "module", "scripts": { "test": "node --test" } }',
    'helix.json': '{ "tools": { "verify": ["helix test"], "setup": null } }',
    'add.js': 'export const add = (a, b) => a - b;\n',
    'add.test.js':
      "import { test } from 'node:test';\nimport assert from 'node:assert';\nimport { add } from './add.js';\ntest('adds', () => assert.equal(add(2, 3), 5));\n",
    'same.test.js': "import { test } from 'node:test';\ntest('is the same', () => {});\n",
  });
  code.commitAll();
}, 60_000);

afterAll(async () => {
  await helix('down', '--workers');
  await model.stop();
  await removeHome(home);
}, 60_000);

test('helix run starts a server, tells what the agent does, and leaves its changes as a branch [C2] [F1]', async () => {
  script = [
    { text: 'I look.', calls: [{ tool: 'read', input: { path: 'add.js' } }] },
    { calls: [{ tool: 'edit', input: { path: 'add.js', old: 'a - b', new: 'a + b' } }] },
    { calls: [{ tool: 'shell', input: { command: 'exit 3' } }] },
    { text: 'Now it adds.' },
  ];
  expect(existsSync(path.join(home, 'server.json'))).toBe(false);
  code.write({ 'mine.txt': 'not committed\n' });
  const ran = await helix('run', 'Mend the addition.');
  expect(ran, ran.stderr).toMatchObject({ status: 0, stdout: 'Now it adds.\n' });
  expect(ran.stderr).toContain('started a server (pid ');
  const lines = ran.stderr.split('\n');
  const told = lines.slice(lines.indexOf('I look.')).filter((line) => line.startsWith('  '));
  expect(told.map((line) => line.replace(/\(.*\)|rcp_\w+/, '…'))).toEqual([
    '  read add.js',
    '  edit add.js',
    '  shell exit 3 → exit 3 …',
    '  check helix test → exit 0 …',
  ]);
  const branch = `helix/mend-the-addition-${sessionOf(ran).slice(-6)}`;
  expect(ran.stderr).toContain(`next: git show ${branch}\n`);
  expect(code.git('show', '--format=', '--name-only', branch)).toBe('add.js');
  expect(code.git('status', '--porcelain')).toBe('?? mine.txt');
  expect(await helix('sessions', 'fetch', sessionOf(ran))).toMatchObject({ status: 0, stdout: `${branch}\n` });
  const shown = await helix('sessions', 'show', sessionOf(ran));
  expect(shown.stdout).toMatch(/^#\d+ +> Mend the addition\.$/m);
  code.git('checkout', '--quiet', branch, '--', 'add.js');
}, 90_000);

test('without a terminal a question stays open: exit 8, and from its answer it goes on [C2]', async () => {
  script = [{ calls: [{ tool: 'ask', input: { question: 'Which way?', options: ['left', 'right'] } }] }, { text: 'Left it is.' }];
  const asked = await helix('run', 'Ask me.');
  expect(asked, asked.stderr).toMatchObject({ status: 8, stdout: '' });
  const approval = /next: helix approvals answer (apr_\w+) "…"/.exec(asked.stderr)?.[1] ?? '';
  expect((await helix('approvals', 'list')).stdout).toContain(`${approval}\tquestion\t${sessionOf(asked)}`);
  expect(await helix('approvals', 'answer', approval, 'left')).toMatchObject({ status: 0 });
  const attached = await helix('sessions', 'attach', sessionOf(asked));
  expect(attached, attached.stderr).toMatchObject({ status: 0, stdout: 'Left it is.\n' });
  expect(attached.stderr).toContain('  ask Which way? → left\n');
}, 90_000);

test('a limit is never raised by --yes, and a plan is shown with its cost [M1]', async () => {
  const subtask = { id: 'a', title: 'Move it', kind: 'agent', detail: '', needs: [], files: ['add.js'], minutes: 5, costUsd: 0.1 };
  script = [{ calls: [{ tool: 'list', input: {} }] }, { text: 'Done.' }];
  const stopped = await helix('run', '--yes', '--turns', '1', 'Count.');
  expect(stopped, stopped.stderr).toMatchObject({ status: 8, stdout: '' });
  const approval = /next: helix approvals accept (apr_\w+) --turns 50;/.exec(stopped.stderr)?.[1] ?? '';
  expect(await helix('approvals', 'accept', approval, '--turns', '5')).toMatchObject({ status: 0 });
  expect(await helix('sessions', 'attach', sessionOf(stopped))).toMatchObject({ status: 0, stdout: 'Done.\n' });

  script = [{ calls: [{ tool: 'plan', input: { summary: 'Move it.', subtasks: [subtask], risks: [] } }] }];
  const shown = await helix('run', '--plan', 'Plan it.');
  expect(shown, shown.stderr).toMatchObject({ status: 8, stdout: '' });
  expect(shown.stderr).toContain('  a  Move it  agent, 5 min, $0.10\n');
  expect(await helix('sessions', 'cancel', sessionOf(shown))).toMatchObject({ status: 0 });
}, 90_000);

test('Ctrl-C leaves the agent at work and says how to come back', async () => {
  script = [{ text: 'I wait.', calls: [{ tool: 'shell', input: { command: 'sleep 60' } }] }];
  const program = path.resolve(import.meta.dirname, '../../packages/cli/bin/helix.js');
  const child = spawn(process.execPath, [program, 'run', 'Wait.'], { cwd: checkout.folder, env: { ...process.env, ...env } });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const says = async (text: string): Promise<void> => {
    while (!said.includes(text) && child.exitCode === null) await Promise.race([once(child.stderr, 'data'), once(child, 'close')]);
  };
  await says('I wait.');
  child.kill('SIGINT');
  await once(child, 'close');
  expect(child.exitCode, said).toBe(130);
  const session = /next: helix sessions attach (ses_\w+)/.exec(said)?.[1] ?? '';
  expect((await helix('sessions', 'show', session)).stdout).toContain('running');
  expect(await helix('sessions', 'attach', '--wait', '1', session)).toMatchObject({ status: 6 });
  expect(await helix('sessions', 'cancel', session)).toMatchObject({ status: 0 });
  expect(await helix('sessions', 'attach', session)).toMatchObject({ status: 3 });
}, 90_000);
