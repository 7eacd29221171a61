import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { givenRepository } from '../../packages/server/test/projects/repository.ts';
import { expectRefused } from '../support/expect-fault.ts';
import { readText, runTask, snapshotOf } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { givenHome, removeHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { outputReaches, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const env = { HELIX_WORKERS_LOCAL_SLOTS: '3', HELIX_WORKERS_HEARTBEAT_MS: '500' };
let server: ServerProcess;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'helix-backup-test-'));
  server = await startServer(givenHome(), env);
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(async () => {
  await removeServer(server);
  rmSync(scratch, { recursive: true, force: true });
});

/** A task that says when it is at work, and ends when the file is there. */
async function submitGated(gate: string, source: { project?: string; commit?: string } = {}): Promise<string> {
  const command = `test -e made && echo from checkpoint $HELIX_CHECKPOINT; touch made; echo at work; while ! test -e ${gate}; do sleep 0.05; done; echo over`;
  const { id } = await server.client.call('tasks.submit', { body: { kind: 'shell', spec: { command, ...source } } });
  await outputReaches(server.client, id, 8);
  return id;
}

async function backUp(name: string): Promise<string> {
  const file = path.join(scratch, name);
  const { exitCode, stdout, stderr } = await helix(server.home, ['backup', file]);
  expect(stderr).toBe('');
  expect({ exitCode, found: JSON.parse(stdout) }).toMatchObject({ exitCode: 0, found: { file, trees: expect.any(Number) } });
  return file;
}

test('a backup made at work becomes a server that has every task, byte of output, commit and checkpoint; a damaged one changes nothing [O2]', async () => {
  const repository = givenRepository();
  repository.commit({ 'a.txt': 'a'.repeat(1_000) });
  const source = await snapshotOf(server.client, repository.folder);
  const printed = await runTask(server, { kind: 'shell', spec: { command: 'seq 1 50000; cat a.txt', ...source } });
  expect(printed.state).toBe('completed');
  const made = await runTask(server, {
    kind: 'build',
    spec: { ...source, targets: [{ name: 'b', command: 'cp a.txt b.txt', inputs: ['a.txt'], outputs: ['b.txt'] }] },
  });
  expect(made.state).toBe('completed');
  const gate = path.join(scratch, 'gate-1');
  const running = await submitGated(gate, source);
  await server.client.call('tasks.checkpoint', { params: { task: running }, body: { name: 'made' } });
  const file = await backUp('whole.tar.zst');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const before = await server.client.call('tasks.list');
  const text = await readText(server.client, printed.id);

  const home = givenHome();
  const at = ['--home', home];
  const cut = path.join(scratch, 'cut.tar.zst');
  copyFileSync(file, cut);
  truncateSync(cut, statSync(file).size - 2_000);
  expectRefused(await helix(home, ['restore', cut, ...at]), 'backup.damaged', [cut]);
  const flipped = readFileSync(file);
  flipped.writeUInt8(flipped.readUInt8(flipped.length >> 1) ^ 1, flipped.length >> 1);
  writeFileSync(cut, flipped);
  expectRefused(await helix(home, ['restore', cut, ...at]), 'backup.damaged', [cut]);
  expect(readdirSync(home)).toEqual(['server.lock']);
  expectRefused(await helix(server.home, ['restore', file, '--replace']), 'server.already_running', [server.home]);

  expect(await helix(home, ['restore', file, ...at])).toMatchObject({ exitCode: 0, stderr: '' });
  expectRefused(await helix(home, ['restore', file, ...at]), 'restore.folder_in_use', [home, 'postgres']);
  const restored = await startServer(home, env);
  onTestFinished(() => removeServer(restored));
  expect(restored.token).toBe(server.token);
  await workersAreUp(restored.client, 1);
  expect((await restored.client.call('tasks.list')).items.map(({ id }) => id)).toEqual(before.items.map(({ id }) => id));
  expect(await readText(restored.client, printed.id)).toBe(text);
  const artifact = (where: ServerProcess) =>
    where.client.call('tasks.artifact', { params: { task: made.tree[0]?.id ?? '' } }).then((response) => response.arrayBuffer());
  expect(Buffer.from(await artifact(restored)).equals(Buffer.from(await artifact(server)))).toBe(true);
  expect(await runTask(restored, { kind: 'shell', spec: { command: 'cat a.txt', ...source } })).toMatchObject({ state: 'completed' });
  // The worker of the copy knows nothing of the job, which begins anew from its checkpoint; where it was, it goes on.
  writeFileSync(gate, '');
  expect(await taskIsSettled(restored, running)).toMatchObject({ state: 'completed' });
  expect(await readText(restored.client, running)).toBe('from checkpoint 1\nat work\nover\n');
  expect(await taskIsSettled(server, running)).toMatchObject({ state: 'completed', attempts: [{ number: 1 }] });
}, 240_000);

test('after a restore in place the workers are linked again, go on with what the backup knows, and drop what it does not [O2] [W7]', async () => {
  const gates = [path.join(scratch, 'gate-2'), path.join(scratch, 'gate-3')] as const;
  const known = await submitGated(gates[0]);
  const file = await backUp('before.tar.zst');
  // Links that the backup knows nothing of.
  await server.kill();
  server = await startServer(server.home, env);
  await workersAreUp(server.client, 1);
  const unknown = await submitGated(gates[1]);
  await server.kill();

  const { exitCode, stdout } = await helix(server.home, ['restore', file, '--replace']);
  expect(exitCode).toBe(0);
  const { movedAside } = JSON.parse(stdout) as { movedAside: string };
  expect(existsSync(path.join(movedAside, 'postgres'))).toBe(true);
  server = await startServer(server.home, env);
  await workersAreUp(server.client, 1);
  writeFileSync(gates[0], '');
  expect(await taskIsSettled(server, known)).toMatchObject({ state: 'completed', attempts: [{ number: 1 }] });
  expect(await readText(server.client, known)).toBe('at work\nover\n');
  await expect(server.client.call('tasks.get', { params: { task: unknown } })).rejects.toMatchObject({ code: 'task.not_found' });
  await removeHome(movedAside).catch(() => {});
}, 240_000);
