import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenRepository } from '../../packages/server/test/projects/repository.ts';
import { runTask, snapshotOf } from '../support/hand-in.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { workersAreUp } from '../support/wait-for.ts';

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), { HELIX_WORKERS_LOCAL_SLOTS: '2' });
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(() => removeServer(server));

const passing = (name: string) => `require('node:test').test('${name}', () => {});\n`;

test('of a shard that hangs, what was over counts, and only the rest runs again, alone; the file that hangs is named [M3]', async () => {
  const repository = givenRepository();
  repository.commit({
    'package.json': JSON.stringify({ scripts: { test: 'node --test' } }),
    // Nothing is known of their times: the largest goes first.
    'test/a.js': `${passing('before')}// ${'long '.repeat(100)}\n`,
    'test/b.js':
      "const { test } = require('node:test');\ntest('fine', () => {});\ntest('hangs', () => new Promise(() => setInterval(() => {}, 1000)));\n",
    'test/c.js': passing('after'),
  });
  const source = await snapshotOf(server.client, repository.folder);
  const task = await runTask(server, { kind: 'test', spec: { ...source, setup: null, unitTimeoutMs: 2_000, maxSlots: 1 } });

  expect(task.state).toBe('failed');
  expect(task.result).toMatchObject({
    totals: { units: 3, passed: 3, failed: 0, errors: 1, flaky: 0 },
    failures: [{ unit: 'test/b.js', message: expect.stringMatching(/did not finish within 2 s .* after "fine"/) }],
  });
  const names = task.tree.map(({ name }) => name);
  expect(names).toContain('test/b.js alone');
  expect(names).toContain('test/c.js alone');
  expect(names).not.toContain('test/a.js alone');
}, 60_000);

test('shards start in the order of the plan, longest first, also when nothing has been timed [M3]', async () => {
  const repository = givenRepository();
  const files = Array.from({ length: 24 }, (_, n) => [`test/${n}.js`, `${passing(String(n))}// ${'long '.repeat(n * n)}\n`]);
  repository.commit({ 'package.json': JSON.stringify({ scripts: { test: 'node --test' } }), ...Object.fromEntries(files) });
  const source = await snapshotOf(server.client, repository.folder);
  const task = await runTask(server, { kind: 'test', spec: { ...source, setup: null } });

  expect(task).toMatchObject({ state: 'completed', result: { totals: { units: 24, tests: 24, passed: 24 } } });
  const shards = task.tree.filter(({ name }) => name.startsWith('shard')).sort((a, b) => (a.name < b.name ? -1 : 1));
  expect(shards.length).toBeGreaterThan(3);
  // When a slot took it; which of two that were taken together began first is the machine's affair.
  const startsMs = shards.map(({ attempt }) => Date.parse(attempt?.assignedAt ?? ''));
  // Those that are placed in one go start in any order.
  const overtaken = startsMs.filter((startMs, at) => startsMs.slice(at + 3).some((laterMs) => laterMs < startMs));
  expect(overtaken).toEqual([]);
}, 60_000);
