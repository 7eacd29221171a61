import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { givenRepository } from '../../packages/server/test/projects/repository.ts';
import { expectFault, expectRefused } from '../support/expect-fault.ts';
import { readStream, readText, runTask, snapshotOf } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { daemonOf, residentBytes } from '../support/processes.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const MIB = 1024 * 1024;

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), {
    HELIX_WORKERS_LOCAL_SLOTS: '2',
    HELIX_WORKERS_HEARTBEAT_MS: '500',
  });
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(() => removeServer(server));

async function expectAtWork(): Promise<void> {
  expect(await runTask(server, { kind: 'shell', spec: { command: 'true' } })).toMatchObject({ state: 'completed' });
}

/** Why a task waits, once the server has said it. */
async function whyWaits(task: string): Promise<string> {
  const { body } = await eventOf(server, `task:${task}`, ({ body }) => body.type === 'task.waiting');
  return body.type === 'task.waiting' ? body.reason : '';
}

test('a task for a capability nobody has waits and says for what, holds nobody up, can be cancelled, and starts when such a worker comes [W6] [W4]', async () => {
  const submit = async () =>
    (await server.client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'echo here' }, requires: ['abacus'] } })).id;
  const [cancelled, started] = [await submit(), await submit()];
  expect(await whyWaits(started)).toBe('no worker has abacus');
  expect(await server.client.call('tasks.get', { params: { task: started } })).toMatchObject({
    state: 'pending',
    waitingFor: 'no worker has abacus',
  });
  await expectAtWork();

  const waited = await helix(server.home, ['exec', '--requires', 'abacus', '--wait', '1', '--', 'true']);
  expectRefused(waited, 'cli.wait_timed_out', ['tsk_']);
  expect(await helix(server.home, ['tasks', 'cancel', cancelled])).toMatchObject({ exitCode: 0 });
  expect((await taskIsSettled(server, cancelled)).state).toBe('cancelled');

  await server.client.call('workers.add', { body: { name: 'counting', transport: 'local', labels: ['abacus'], slots: 1 } });
  const task = await taskIsSettled(server, started);
  expect(task).toMatchObject({ state: 'completed', attempts: [{ workerName: 'counting' }] });
  expect(task.waitingFor).toBe(undefined);
  expect(await readText(server.client, started)).toBe('here\n');
});

test('a set-up command that fails is named with its output, fails the task at once, and others go on [T8]', async () => {
  const repository = givenRepository();
  repository.commit({ 'package.json': '{}' });
  const source = await snapshotOf(server.client, repository.folder);
  const setup = { command: 'echo fetching; echo "no such crane: 42" >&2; exit 9', inputs: ['package.json'] };
  const task = await runTask(server, { kind: 'shell', spec: { command: 'true', ...source, setup } });
  expect(task.state).toBe('failed');
  expectFault(task.failure, 'workspace.setup_failed', ['no such crane: 42', 'status 9']);
  expect(task.failure?.details).toMatchObject({ exitCode: 9, output: expect.stringContaining('fetching') });
  expect(task.tree).toMatchObject([{ state: 'failed', attempt: { number: 1, state: 'refused' } }]);
  await expectAtWork();
});

test('a command that fails, and one that takes too long, end `helix exec` with the status of a failed task [C2]', async () => {
  const failed = await helix(server.home, ['exec', '--', 'echo gone wrong >&2; exit 3']);
  expect(failed.exitCode).toBe(5);
  const late = await runTask(server, { kind: 'shell', spec: { command: 'sleep 60', timeoutMs: 300 } });
  expectFault(late.failure, 'job.timed_out', ['300']);
});

test('500 MB through one job come through whole, while server and daemon stay small [T7]', async () => {
  const bytes = 500_000_000;
  const worker = (await server.client.call('workers.list')).items.find(({ name }) => name === 'local');
  const daemon = daemonOf(worker?.address ?? '', worker?.id ?? '') ?? 0;
  const before = { server: residentBytes(server.pid), daemon: residentBytes(daemon) };
  const most = { ...before };
  const sampling = setInterval(() => {
    most.server = Math.max(most.server, residentBytes(server.pid));
    most.daemon = Math.max(most.daemon, residentBytes(daemon));
  }, 100);
  onTestFinished(() => clearInterval(sampling));

  // One odd-sized line over and over: a piece lost or repeated would shift what follows.
  const line = Buffer.from(`${Array.from({ length: 2_001 }, (_, n) => n).join(' ')}\n`);
  const command = `yes "$(seq 0 2000 | tr '\\n' ' ' | sed 's/ $//')" | head -c ${bytes}`;
  const task = await runTask(server, { kind: 'shell', worker: 'local', spec: { command } });
  expect(task).toMatchObject({ state: 'completed', attempts: [{ exitCode: 0, streams: { out: bytes } }] });
  const expected = Buffer.alloc(4 * MIB + line.length, line);
  let read = 0;
  for await (const piece of readStream(server.client, task.id)) {
    const at = read % line.length;
    if (!piece.equals(expected.subarray(at, at + piece.length)))
      throw new Error(`the output differs between byte ${read} and ${read + piece.length}`);
    read += piece.length;
  }
  expect(read).toBe(bytes);
  expect(most.server - before.server).toBeLessThan(250 * MIB);
  expect(most.daemon - before.daemon).toBeLessThan(100 * MIB);
}, 240_000);
