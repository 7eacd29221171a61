import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { givenRepository } from '../../packages/server/test/projects/repository.ts';
import { expectFault } from '../support/expect-fault.ts';
import { readText, runTask, sendHead, snapshotOf } from '../support/hand-in.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { workersAreUp } from '../support/wait-for.ts';

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), { HELIX_WORKERS_LOCAL_SLOTS: '1' });
  await server.client.call('workers.add', { body: { name: 'second', transport: 'local', slots: 1 } });
  await workersAreUp(server.client, 2);
}, 60_000);
afterAll(() => removeServer(server));

test('a command runs once for each item, over all workers, and a failed item is named while the others keep their results [T1] [T8]', async () => {
  const each = ['one', 'two words', "it's", '*', 'ünï\nline'];
  const task = await runTask(server, {
    kind: 'shell',
    spec: { command: 'sleep 0.2; printf "%s" "$HELIX_ITEM"; [ "$HELIX_ITEM" != "*" ]', each },
  });
  expect(task).toMatchObject({ state: 'failed', result: { items: 5, failed: 1 } });
  expectFault(task.failure, 'task.subtask_failed', ['1 of 5', '*', 'exit status 1']);
  expect(await Promise.all(task.tree.map(({ id }) => readText(server.client, id)))).toEqual(each);
  expect(task.tree.map(({ state }) => state)).toEqual(['completed', 'completed', 'completed', 'failed', 'completed']);
  expect(new Set(task.tree.map(({ attempt }) => attempt?.workerName))).toEqual(new Set(['local', 'second']));
});

test('a set-up command runs once for each content of its lock file, whatever the number of checkouts and workers [T1] [M3]', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-counter-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const counter = path.join(folder, 'runs');
  const runs = (): number => readFileSync(counter, 'utf8').split('\n').length - 1;
  const repository = givenRepository();
  repository.commit({ 'deps.lock': 'one\n' });
  const { project, commit } = await snapshotOf(server.client, repository.folder);
  const setup = { command: `echo run >>${counter}; sleep 0.5; mkdir deps && cp deps.lock deps/installed`, inputs: ['deps.lock'] };
  const run = (at: string, worker?: string) =>
    runTask(server, {
      kind: 'shell',
      ...(worker !== undefined && { worker }),
      spec: { project, commit: at, setup, command: 'cat deps/installed; sleep 0.3', each: ['a', 'b', 'c', 'd'] },
    });

  for (const first of await Promise.all([run(commit, 'local'), run(commit, 'second')])) {
    expect(first).toMatchObject({ state: 'completed' });
    expect(await Promise.all(first.tree.map(({ id }) => readText(server.client, id)))).toEqual(['one\n', 'one\n', 'one\n', 'one\n']);
  }
  expect(runs()).toBe(1);

  repository.commit({ 'other.txt': 'a change that the set-up does not depend on' });
  expect(await run(await sendHead(server.client, project, repository.folder))).toMatchObject({ state: 'completed' });
  expect(runs()).toBe(1);

  repository.commit({ 'deps.lock': 'two\n' });
  const third = await run(await sendHead(server.client, project, repository.folder));
  expect(await readText(server.client, third.tree[3]?.id ?? '')).toBe('two\n');
  expect(runs()).toBe(2);
}, 60_000);

test('the sample suite over two workers gives exactly the tests of a plain run, the failing one with file and line, the flaky one by name [M3] [W6] [T1]', async () => {
  const folder = path.join(mkdtempSync(path.join(tmpdir(), 'helix-sample-')), 'corner-shop');
  onTestFinished(() => rmSync(path.dirname(folder), { recursive: true }));
  cpSync(path.resolve(import.meta.dirname, '../../examples/sample-repo'), folder, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', ...args], { cwd: folder });
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-q', '-m', 'Open the shop');

  const plain = await runPlainly(folder);
  const task = await runTask(server, { kind: 'test', spec: await snapshotOf(server.client, folder) });
  expect(task.failure).toMatchObject({ code: 'tests.failed' });
  const report = task.result as TestReport;
  const flaky = 'a tourist at the till gets a price in francs within 450 ms';
  const broken = 'a dozen jars of jam are already reduced as a dozen';

  expect(plain.failed).toContain(broken);
  expect(report.totals).toEqual({
    units: plain.files,
    tests: plain.tests,
    skipped: plain.skipped,
    failed: 1,
    passed: plain.tests - plain.skipped - 1,
    errors: 0,
    flaky: 1,
  });
  expect(report.failures).toMatchObject([
    { name: expect.stringContaining(broken), file: 'test/discount/tier-boundaries.test.js', line: expect.any(Number) },
  ]);
  const { line = 0 } = report.failures[0] ?? {};
  expect(readFileSync(path.join(folder, 'test/discount/tier-boundaries.test.js'), 'utf8').split('\n')[line - 1]).toMatch('assert');
  expect(report.flaky).toMatchObject([{ unit: 'test/exchange/quick-quote.test.js', name: flaky }]);
  expect(report.workers).toEqual(['local', 'second']);
  expect(task).toMatchObject({ state: 'failed', failure: { code: 'tests.failed' } });

  const junit = await (await server.client.call('tasks.junit', { params: { task: task.id } })).text();
  expect(junit.match(/<testcase\b/g)).toHaveLength(plain.tests);
  expect(junit.match(/<failure\b/g)).toHaveLength(1);
}, 240_000);

/** The suite as its own authors run it: which tests there are, and which of them fail. */
async function runPlainly(folder: string): Promise<{ files: number; tests: number; skipped: number; failed: string[] }> {
  const runId = randomUUID();
  onTestFinished(() => rmSync(path.join(homedir(), '.cache', `corner-shop-rates-${runId}`), { recursive: true, force: true }));
  const env = { PATH: process.env['PATH'], HOME: homedir(), HELIX_RUN_ID: runId };
  const args = ['--test', '--test-concurrency=2', '--test-reporter=tap'];
  const stdout = await new Promise<string>((resolve) => {
    // That it ends with a failure is what is expected of it.
    execFile(process.execPath, args, { cwd: folder, env, maxBuffer: 64 * 1024 * 1024 }, (_, said) => resolve(said));
  });
  const count = (name: string): number => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(stdout)?.[1]);
  const files = readdirSync(path.join(folder, 'test'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.js'));
  const failed = [...stdout.matchAll(/^ *not ok \d+ - (.*)$/gm)].map(([, name = '']) => name);
  return {
    files: files.length,
    tests: count('tests'), // What is still to be done does not count as failed, whatever its outcome.
    skipped: count('skipped') + count('todo'),
    failed,
  };
}
