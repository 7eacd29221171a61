import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerView } from '@helixcode/protocol/api/views';
import type { CodedError } from '@helixcode/protocol/errors';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FaultProxy, givenFaultProxy } from '../../packages/server/test/support/fault-proxy.ts';
import { freePort, givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { readText } from '../support/hand-in.ts';
import { daemonOf, killNow, postgresOf, sshClientsOf } from '../support/processes.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, newestEvent, outputReaches, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const LINES = 3_000;
/** Two lines at a time, in sixty gulps with a pause after each; before the last of them it waits until all is done to it. */
const COMMAND = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "out $i"; echo "err $i" >&2; [ $((i % 50)) = 0 ] && sleep 0.3; [ $i = 2500 ] && until [ -e GO ]; do sleep 0.1; done; done; exit 7`;
const linesOf = (stream: string): string => Array.from({ length: LINES }, (_, index) => `${stream} ${index + 1}\n`).join('');
/** How long `stream` is when line `n` of it is there. */
const bytesUpTo = (n: number): number => Array.from({ length: n }, (_, index) => `out ${index + 1}\n`).join('').length;

const home = givenHome();
const environment: Record<string, string> = { HELIX_WORKERS_HEARTBEAT_MS: '1500' };
let server: ServerProcess;
let sshd: TestSshd | undefined;
let proxy: FaultProxy | undefined;

beforeAll(async () => {
  // The same address after a restart: clients find it again.
  environment['HELIX_PORT'] = String(await freePort());
  [server, sshd] = await Promise.all([startServer(home, environment), noSshd === undefined ? givenSshd() : undefined]);
  if (sshd) {
    proxy = await givenFaultProxy(sshd.port);
    const knownHostsFile = path.join(home, 'proxied_hosts');
    writeFileSync(knownHostsFile, readFileSync(sshd.knownHostsFile, 'utf8').replace(`:${sshd.port}`, `:${proxy.port}`));
    const { host, user, identityFile } = sshd;
    await server.client.call('workers.add', {
      body: {
        name: 'remote',
        transport: 'ssh',
        host,
        user,
        identityFile,
        knownHostsFile,
        port: proxy.port,
        folder: path.join(home, 'remote'),
        slots: 2,
      },
    });
  }
  await workersAreUp(server.client, sshd ? 2 : 1);
}, 120_000);
afterAll(async () => {
  proxy?.heal();
  await removeServer(server);
  await proxy?.close();
  await sshd?.remove();
}, 60_000);

/** Waits until a worker has moved to `state` after event number `after`. */
async function whenMoved({ id }: WorkerView, state: WorkerState, after: number): Promise<void> {
  await eventOf(server, `worker:${id}`, ({ body }) => body.type === 'worker.moved' && body.to === state, after);
}

/** Does something to the link of a worker, and waits until it has noticed and is well again. */
async function untilBack(worker: WorkerView, fault: () => void): Promise<void> {
  const before = await newestEvent(server.client);
  // On a busy machine it may just be away by itself.
  await expect
    .poll(async () => (await server.client.call('workers.get', { params: { worker: worker.id } })).state, { timeout: 20_000 })
    .toBe('up');
  fault();
  await whenMoved(worker, 'suspect', before);
  await whenMoved(worker, 'up', before);
}

test('every byte of a job comes once and in order, and its exit code, whatever is killed while it runs [W7] [D1] [T9]', async () => {
  const workers = (await server.client.call('workers.list')).items;
  const jobs = await Promise.all(
    workers.map(async (worker) => {
      const { id } = await server.client.call('tasks.submit', {
        body: { kind: 'shell', worker: worker.id, spec: { command: COMMAND.replace('GO', path.join(home, 'go')) } },
      });
      return { id, worker };
    }),
  );
  const allReach = (line: number) => Promise.all(jobs.map(({ id }) => outputReaches(server.client, id, bytesUpTo(line))));

  await allReach(300);
  await Promise.all(
    workers.map(async (worker) => {
      if (worker.transport === 'ssh')
        await untilBack(worker, () => {
          killNow(...sshClientsOf(home, worker.id));
        });
      const folder = worker.transport === 'ssh' ? path.join(home, 'remote') : worker.address;
      const daemon = daemonOf(folder, worker.id);
      await untilBack(worker, () => killNow(daemon));
      expect(daemonOf(folder, worker.id)).not.toBe(daemon);
    }),
  );

  await allReach(1_000);
  const restarted = await newestEvent(server.client);
  await server.kill();
  server = await startServer(home, environment);
  for (const worker of workers) await whenMoved(worker, 'up', restarted);

  await allReach(1_600);
  const postgres = postgresOf(home);
  killNow(postgres);
  const taskCount = () =>
    server.client.call('tasks.list').then(
      ({ items }) => items.length,
      (error: CodedError) => error.code,
    );
  await expect.poll(taskCount).toBe('database.unavailable');
  await expect.poll(taskCount, { timeout: 20_000 }).toBe(jobs.length);
  expect(postgresOf(home)).not.toBe(postgres);

  await allReach(2_000);
  const remote = workers.find(({ transport }) => transport === 'ssh');
  if (remote && proxy) {
    const before = await newestEvent(server.client);
    const startMs = performance.now();
    proxy.blackhole();
    await whenMoved(remote, 'degraded', before);
    await whenMoved(remote, 'suspect', before);
    const job = jobs.find(({ worker }) => worker === remote);
    expect(await server.client.call('tasks.get', { params: { task: job?.id ?? '' } })).toMatchObject({
      state: 'running',
      attempt: { state: 'running', unknown: true },
    });
    // Twelve seconds in all.
    await sleep(Math.max(0, 12_000 - (performance.now() - startMs)));
    proxy.heal();
    await whenMoved(remote, 'up', before);
  }

  writeFileSync(path.join(home, 'go'), '');
  for (const { id, worker } of jobs) {
    const task = await taskIsSettled(server, id);
    expect({ worker: worker.name, ...task }).toMatchObject({
      state: 'failed',
      failure: { code: 'job.command_failed', message: expect.stringContaining('7') },
    });
    expect(task.attempts).toMatchObject([{ number: 1, state: 'exited', exitCode: 7, unknown: false }]);
    expect((await readText(server.client, id, 'out')) === linesOf('out')).toBe(true);
    expect((await readText(server.client, id, 'err')) === linesOf('err')).toBe(true);
  }
  const { items } = await server.client.call('tasks.list');
  expect(items).toHaveLength(jobs.length);
}, 180_000);
