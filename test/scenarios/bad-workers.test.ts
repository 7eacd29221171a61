import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { expectFault } from '../support/expect-fault.ts';
import { readText, runTask } from '../support/hand-in.ts';
import { daemonOf, killNow } from '../support/processes.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const DAY_MS = 86_400_000;
const OUTPUT_LIMIT_BYTES = 1_000_000;

const environment = {
  HELIX_WORKERS_LOCAL_SLOTS: '2',
  HELIX_WORKERS_HEARTBEAT_MS: '1000',
  HELIX_LOGS_OUTPUT_LIMIT_BYTES: String(OUTPUT_LIMIT_BYTES),
};
let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), environment);
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(() => removeServer(server));

test('a job that writes more than its limit is stopped, keeps exactly the limit, and the limit is named [T7]', async () => {
  const task = await runTask(server, { kind: 'shell', spec: { command: 'head -c 3000000 /dev/zero; sleep 60' } });
  expect(task.state).toBe('failed');
  expectFault(task.failure, 'output.too_large', [String(OUTPUT_LIMIT_BYTES), 'stdout']);
  expect(task.attempts).toMatchObject([{ state: 'exited', streams: { out: OUTPUT_LIMIT_BYTES } }]);
  expect(await readText(server.client, task.id)).toBe('\0'.repeat(OUTPUT_LIMIT_BYTES));
});

test('a job that kills the daemon of its worker goes on, and the worker comes back [W7]', async () => {
  // The job begins in run/<host>/<worker>/jobs/<attempt>/work; the daemon's lock is in the folder of the worker.
  const command = `
    echo begin
    kill -9 "$(sed 's/ .*//' ../../../lock)"
    sleep 1
    echo end
    exit 4`;
  const task = await runTask(server, { kind: 'shell', spec: { command } });
  expect(await readText(server.client, task.id, 'err')).toBe('');
  expect(task.attempts).toMatchObject([{ number: 1, state: 'exited', exitCode: 4 }]);
  expect(await readText(server.client, task.id)).toBe('begin\nend\n');
  expect(await runTask(server, { kind: 'shell', spec: { command: 'true' } })).toMatchObject({ state: 'completed' });
});

test.runIf(userInfo().uid === 0)(
  'a full disk on a worker fails the job that filled it by name, holds back what would go there, and lets it go when there is room [W5]',
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'helix-small-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=100m', 'none', folder]);
    onTestFinished(() => {
      execFileSync('umount', ['--lazy', folder]);
      rmSync(folder, { recursive: true, force: true });
    });
    const worker = await server.client.call('workers.add', {
      body: { name: 'small', transport: 'local', folder: path.join(folder, 'home'), slots: 1 },
    });
    onTestFinished(
      async () => void (await server.client.call('workers.remove', { params: { worker: worker.id }, query: { force: true } })),
    );
    await workersAreUp(server.client, 2);

    const filled = await runTask(server, {
      kind: 'shell',
      worker: 'small',
      spec: { command: `cat /dev/zero >${folder}/filler` },
      policy: { replaceLost: 0 },
    });
    expect(filled.state).toBe('failed');
    expectFault(filled.failure, 'worker.disk_full', [folder, 'bytes are free']);

    const { id } = await server.client.call('tasks.submit', { body: { kind: 'shell', worker: 'small', spec: { command: 'echo room' } } });
    const { body } = await eventOf(server, `task:${id}`, (event) => event.body.type === 'task.waiting');
    expect(body).toMatchObject({ reason: 'every suitable worker is out of disk space: small' });
    expect(await runTask(server, { kind: 'shell', worker: 'local', spec: { command: 'true' } })).toMatchObject({ state: 'completed' });

    rmSync(path.join(folder, 'filler'));
    expect(await taskIsSettled(server, id)).toMatchObject({ state: 'completed' });
    expect(await readText(server.client, id)).toBe('room\n');
  },
);
if (userInfo().uid !== 0) process.stderr.write('\n*** a full disk on a worker is NOT tested: only root may mount a small one\n\n');

test('the clock of a worker does not matter: times are those of the server [W5]', async () => {
  const shifts = { ahead: 400 * DAY_MS, behind: -400 * DAY_MS };
  const workers = await Promise.all(
    Object.keys(shifts).map((name) => server.client.call('workers.add', { body: { name, transport: 'local', slots: 1 } })),
  );
  onTestFinished(async () => {
    for (const { id } of workers) await server.client.call('workers.remove', { params: { worker: id }, query: { force: true } });
  });
  await workersAreUp(server.client, 3);
  // While the server is away, each gets a daemon that believes in another day; the server takes the one it finds.
  await server.stop();
  const bundle = path.resolve(import.meta.dirname, '../../packages/worker/dist/helix-worker.cjs');
  const daemons = new Map<string, number | undefined>();
  for (const [name, shiftMs] of Object.entries(shifts)) {
    const worker = workers.find((candidate) => candidate.name === name);
    killNow(daemonOf(worker?.address ?? '', worker?.id ?? ''));
    const clock = path.join(import.meta.dirname, '../support/shift-clock.cjs');
    const env = { ...process.env, HELIX_WORKER_HOME: worker?.address, SHIFT_CLOCK_MS: String(shiftMs) };
    const daemon = spawn(process.execPath, ['--require', clock, bundle, 'daemon', '--ns', worker?.id ?? ''], {
      env,
      detached: true,
      stdio: 'ignore',
    });
    daemon.unref();
    daemons.set(name, daemon.pid);
  }
  const beforeMs = Date.now();
  server = await startServer(server.home, environment);
  await workersAreUp(server.client, 3);

  for (const { id, name, address } of workers) {
    expect(daemonOf(address, id)).toBe(daemons.get(name));
    const task = await runTask(server, { kind: 'shell', worker: id, spec: { command: 'sleep 1; exit 3' } });
    const [attempt] = task.attempts;
    expect(attempt).toMatchObject({ workerName: name, state: 'exited', exitCode: 3 });
    expect(attempt?.wallMs).toBeGreaterThanOrEqual(1_000);
    expect(attempt?.wallMs).toBeLessThan(10_000);
    const { lastSeenAt } = await server.client.call('workers.get', { params: { worker: id } });
    const events = await server.client.call('events.list', { query: { topic: `task:${task.id}` } });
    const times = [
      attempt?.assignedAt,
      attempt?.startedAt,
      attempt?.finishedAt,
      task.startedAt,
      task.finishedAt,
      lastSeenAt,
      ...events.items.map(({ at }) => at),
    ];
    for (const time of times) {
      expect(Date.parse(time ?? '')).toBeGreaterThanOrEqual(beforeMs);
      expect(Date.parse(time ?? '')).toBeLessThanOrEqual(Date.now());
    }
  }
  const limited = await runTask(server, { kind: 'shell', worker: 'behind', spec: { command: 'sleep 60', timeoutMs: 500 } });
  expectFault(limited.failure, 'job.timed_out', ['500']);
}, 60_000);
