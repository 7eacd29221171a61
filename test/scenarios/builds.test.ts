import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import type { TaskDetail } from '@helixcode/protocol/api/views';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { givenRepository, type TestRepository } from '../../packages/server/test/projects/repository.ts';
import { expectFault } from '../support/expect-fault.ts';
import { runTask, sendHead, snapshotOf } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { workersAreUp } from '../support/wait-for.ts';

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), { HELIX_WORKERS_LOCAL_SLOTS: '2' });
  await server.client.call('workers.add', { body: { name: 'second', transport: 'local', slots: 1 } });
  await workersAreUp(server.client, 2);
}, 60_000);
afterAll(() => removeServer(server));

const TARGETS = [
  {
    name: 'app',
    command: 'cat dist/lib.txt src/app.txt >dist/app.txt',
    inputs: ['src/app.txt'],
    outputs: ['dist/app.txt'],
    needs: ['lib'],
  },
  { name: 'lib', command: 'mkdir -p dist && tr a-z A-Z <src/lib.txt >dist/lib.txt', inputs: ['src/lib.txt'], outputs: ['dist/lib.txt'] },
  { name: 'page', command: 'mkdir -p site && cp docs/page.txt site/', inputs: ['docs/**'], outputs: ['site/**'] },
];

function givenSources(): TestRepository {
  const repository = givenRepository();
  repository.commit({ 'src/lib.txt': 'lib\n', 'src/app.txt': 'app\n', 'docs/page.txt': 'page\n' });
  return repository;
}

/** Which targets a run built, and which it took from the cache. */
function howOf(task: TaskDetail): Record<string, string> {
  expect(task).toMatchObject({ state: 'completed' });
  const { targets } = task.result as { targets: { name: string; cached: boolean }[] };
  return Object.fromEntries(targets.map(({ name, cached }) => [name, cached ? 'cached' : 'built']));
}

function unpack(archive: Uint8Array): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-unpacked-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  execFileSync('tar', ['-xf', '-', '-C', folder], { input: zstdDecompressSync(archive) });
  return folder;
}

test('targets are built after what they need, taken from the cache when nothing changed, and rebuilt only where something did [M2]', async () => {
  const repository = givenSources();
  const { project, commit: first } = await snapshotOf(server.client, repository.folder);
  const build = (commit: string) => runTask(server, { kind: 'build', spec: { project, commit, targets: TARGETS } });

  const fresh = await build(first);
  expect(howOf(fresh)).toEqual({ app: 'built', lib: 'built', page: 'built' });
  const again = await build(first);
  expect(howOf(again)).toEqual({ app: 'cached', lib: 'cached', page: 'cached' });
  expect(again.tree.flatMap(({ attempt }) => attempt ?? [])).toEqual([]);

  repository.commit({ 'src/app.txt': 'another app\n', 'README.md': 'Of no target.' });
  const changedApp = await build(await sendHead(server.client, project, repository.folder));
  expect(howOf(changedApp)).toEqual({ app: 'built', lib: 'cached', page: 'cached' });

  repository.commit({ 'src/lib.txt': 'another lib\n' });
  const changedLib = await build(await sendHead(server.client, project, repository.folder));
  expect(howOf(changedLib)).toEqual({ app: 'built', lib: 'built', page: 'cached' });

  for (const [task, text] of [
    [fresh, 'LIB\napp\n'],
    [again, 'LIB\napp\n'],
    [changedLib, 'ANOTHER LIB\nanother app\n'],
  ] as const) {
    const app = task.tree.find(({ name }) => name === 'app')?.id ?? '';
    const archive = await (await server.client.call('tasks.artifact', { params: { task: app } })).bytes();
    expect(readFileSync(path.join(unpack(archive), 'dist/app.txt'), 'utf8')).toBe(text);
  }
}, 60_000);

test('`helix build` builds the working tree as it is, saves the outputs, and leaves the repository alone [M2] [C2]', async () => {
  const repository = givenRepository();
  repository.commit({
    'src/lib.txt': 'lib\n',
    'src/app.txt': 'app\n',
    'docs/page.txt': 'page\n',
    'helix.json': JSON.stringify({ tools: { build: TARGETS } }),
  });
  const run = await helix(server.home, ['build', 'app', '--out', '../built'], { cwd: path.join(repository.folder, 'src') });
  expect(run.exitCode).toBe(0);
  const { files, targets } = JSON.parse(run.stdout) as { files: Record<string, string>; targets: { id: string; name: string }[] };
  expect(targets.map(({ name }) => name).sort()).toEqual(['app', 'lib']);
  const app = files[targets.find(({ name }) => name === 'app')?.id ?? ''] ?? '';
  expect(app).toContain(path.join(repository.folder, 'built'));
  expect(readFileSync(path.join(unpack(readFileSync(app)), 'dist/app.txt'), 'utf8')).toBe('LIB\napp\n');
  expect(repository.git('status', '--porcelain')).toBe('?? built/');
});

test('a target that fails, or leaves nothing, is named; what needs it is not built, and the rest is [M2] [T8]', async () => {
  const repository = givenSources();
  const source = await snapshotOf(server.client, repository.folder);
  const [app, lib, page] = TARGETS;
  if (!app || !lib || !page) throw new Error('three targets');
  const failed = await runTask(server, {
    kind: 'build',
    spec: { ...source, targets: [app, { ...lib, command: 'echo "no glue" >&2; exit 3' }, page] },
  });
  expect(failed.state).toBe('failed');
  expectFault(failed.failure, 'task.subtask_failed', ['lib', 'exit status 3']);
  expect(Object.fromEntries(failed.tree.map(({ name, state }) => [name, state]))).toEqual({
    app: 'cancelled',
    lib: 'failed',
    page: 'completed',
  });
  expect(failed.tree.find(({ name }) => name === 'app')?.failure?.message).toMatch('lib, which it needs');

  const empty = await runTask(server, { kind: 'build', spec: { ...source, targets: [{ ...lib, command: 'true' }] } });
  expect(empty.state).toBe('failed');
  expectFault(empty.tree[0]?.failure, 'build.output_missing', ['dist/lib.txt']);

  const circle = await runTask(server, { kind: 'build', spec: { ...source, targets: [app, { ...lib, needs: ['app'] }] } });
  expectFault(circle.failure, 'api.bad_request', ['circle', 'app', 'lib']);
});
