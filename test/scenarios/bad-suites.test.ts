import type { TaskDetail } from '@helixcode/protocol/api/views';
import type { TestSpec } from '@helixcode/protocol/task/task-spec';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenRepository } from '../../packages/server/test/projects/repository.ts';
import { exitStatusOf, expectFailed } from '../support/expect-fault.ts';
import { runTask, snapshotOf } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { workersAreUp } from '../support/wait-for.ts';

const PACKAGE = JSON.stringify({ name: 'suite', type: 'module', scripts: { test: 'node --test' } });
const passing = (title: string): string => `import { test } from 'node:test';\ntest(${JSON.stringify(title)}, () => {});\n`;
/** Files of a suite, each with one test of its own name, among them what `special` says. */
const suiteOf = (special: Record<string, string>, count = 8): Record<string, string> => ({
  'package.json': PACKAGE,
  ...Object.fromEntries(Array.from({ length: count }, (_, n) => [`test/quiet-${n}.test.js`, passing(`quiet ${n}`)])),
  ...special,
});

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), { HELIX_WORKERS_LOCAL_SLOTS: '2', HELIX_WORKERS_HEARTBEAT_MS: '1000' });
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(() => removeServer(server));

async function runSuite(files: Record<string, string>, spec: Partial<TestSpec> = {}): Promise<{ task: TaskDetail; report: TestReport }> {
  const repository = givenRepository();
  repository.commit(files);
  const task = await runTask(server, { kind: 'test', spec: { ...(await snapshotOf(server.client, repository.folder)), ...spec } });
  return { task, report: task.result as TestReport };
}

test('a repository without tests, and one whose runner nobody knows, are refused with what to do [M3]', async () => {
  const empty = givenRepository();
  empty.commit({ 'package.json': PACKAGE, 'index.js': '' });
  expectFailed(await helix(server.home, ['test'], { cwd: empty.folder }), 'test.none_found', ['node-test', 'no tests']);

  const unknown = givenRepository();
  unknown.commit({ 'README.md': 'Words only.' });
  expectFailed(await helix(server.home, ['test'], { cwd: unknown.folder }), 'test.runner_unknown', ['no test runner']);

  const narrow = givenRepository();
  narrow.commit(suiteOf({}));
  expectFailed(await helix(server.home, ['test', 'nowhere'], { cwd: narrow.folder }), 'test.none_found', [
    'none of the 8 test files',
    'nowhere',
  ]);
});

test('a test file that kills the runner is named, and the other tests of its shard are not blamed [M3]', async () => {
  const kills = "import { test } from 'node:test';\ntest('pulls the plug', () => process.kill(process.ppid, 'SIGKILL'));\n";
  const { task, report } = await runSuite(suiteOf({ 'test/kills.test.js': kills }), { maxSlots: 1 });
  expect(report.totals).toMatchObject({ units: 9, tests: 8, passed: 8, failed: 0, errors: 1, flaky: 0 });
  expect(report.failures).toMatchObject([{ unit: 'test/kills.test.js' }]);
  expect(report.failures[0]?.message).toMatch(/137|KILL/);
  expect(task).toMatchObject({ state: 'failed', failure: { code: 'tests.failed' } });
}, 60_000);

test("a shard that kills its worker's daemon gives its results all the same, once [M3] [W7] [T8]", async () => {
  // A checkout lies in run/<host>/<worker>/trees/<project>/<n>; the daemon's lock is in the folder of the worker.
  const kills = `
    import { readFileSync } from 'node:fs';
    import { test } from 'node:test';
    import { setTimeout as sleep } from 'node:timers/promises';
    test('shoots the messenger', async () => {
      process.kill(Number(readFileSync('../../../lock', 'utf8').split(' ')[0]), 'SIGKILL');
      await sleep(500);
    });`;
  const { task, report } = await runSuite(suiteOf({ 'test/kills.test.js': kills }));
  expect(report.failures).toEqual([]);
  expect(report.totals).toMatchObject({ units: 9, tests: 9, passed: 9, flaky: 0 });
  expect(task.state).toBe('completed');
  for (const leaf of task.tree) {
    const { attempts } = await server.client.call('tasks.get', { params: { task: leaf.id } });
    expect(attempts.filter(({ reason }) => reason?.code !== 'job.recalled').map(({ state }) => state)).toEqual(['exited']);
  }
}, 60_000);

test('file names with spaces, newlines, quotes and Unicode are tested and built like any other [M2] [M3]', async () => {
  const name = 'a b\n"c" \'d\' $e *grüße* 試験';
  const repository = givenRepository();
  repository.commit({
    ...suiteOf({ [`test/${name}.test.js`]: passing('with a name') }, 2),
    [`src/${name}.txt`]: 'text',
    'helix.json': JSON.stringify({
      tools: {
        build: [{ name: 'copy', command: 'mkdir -p "out dir" && cp src/* "out dir/"', inputs: ['src/**'], outputs: ['out dir/**'] }],
      },
    }),
  });
  const tested = await helix(server.home, ['test'], { cwd: repository.folder });
  expect(tested.error).toBe(undefined);
  const { report } = JSON.parse(tested.stdout) as { report: TestReport };
  expect(report).toMatchObject({ totals: { units: 3, tests: 3, passed: 3, errors: 0 }, failures: [] });

  const built = await helix(server.home, ['build'], { cwd: repository.folder });
  expect(built).toMatchObject({ exitCode: 0 });
});

test('a failing test ends `helix test` with the status of failed tests, named with file and line [C2] [M3]', async () => {
  const repository = givenRepository();
  repository.commit(
    suiteOf(
      {
        'test/fails.test.js':
          "import { test } from 'node:test';\nimport assert from 'node:assert';\n\ntest('adds up', () => {\n  assert.equal(1 + 1, 3);\n});\n",
      },
      3,
    ),
  );
  const run = await helix(server.home, ['test'], { cwd: repository.folder });
  expect(run.exitCode).toBe(exitStatusOf('tests.failed'));
  const { report } = JSON.parse(run.stdout) as { report: TestReport };
  expect(report.totals).toMatchObject({ tests: 4, passed: 3, failed: 1, flaky: 0 });
  expect(report.failures).toMatchObject([{ name: 'adds up', file: 'test/fails.test.js', line: 5 }]);
});
