import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AttemptId } from '@helixcode/protocol/ids';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type FaultProxy, givenFaultProxy } from '../support/fault-proxy.ts';
import { daemonOf, givenWorkerTest, sshClientsOf, sshWorker, type WorkerTest } from '../support/ssh-workers.ts';
import { givenSshd, noSshd, type TestSshd } from '../support/sshd.ts';

// An installation writes 100 MB: on a machine that is busy with other things it takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const LINES = 3_000;
/** Prints its lines over some seconds, a few hundred at a time. */
const lineJob = (seconds: number): string =>
  `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "line $i"; [ $((i % ${Math.floor(LINES / seconds / 5)})) = 0 ] && sleep 0.2; done; exit 7`;
const expected = Array.from({ length: LINES }, (_, index) => `line ${index + 1}\n`).join('');

describe.skipIf(noSshd)('a job that prints 3,000 lines and exits with 7 gives every byte once', () => {
  let given: WorkerTest;
  let sshd: TestSshd;
  let proxy: FaultProxy;

  beforeAll(async () => {
    [given, sshd] = await Promise.all([givenWorkerTest(), givenSshd()]);
    proxy = await givenFaultProxy(sshd.port);
  });
  afterAll(async () => {
    await given.end();
    await proxy.close();
    await sshd.remove();
  });
  afterEach(() => given.clean());

  async function givenUpWorker(heartbeatMs = 10_000): Promise<{ worker: WorkerSupervisor; home: string }> {
    const knownHostsFile = join(given.folder, 'proxied_hosts');
    writeFileSync(knownHostsFile, readFileSync(sshd.knownHostsFile, 'utf8').replace(`:${sshd.port}`, `:${proxy.port}`));
    await given.restart({ workers: { heartbeatMs } });
    const request = sshWorker(sshd, given.folder, { port: proxy.port, knownHostsFile });
    const worker = await given.registry.add(request);
    await given.registry.whenState(worker, 'up');
    return { worker, home: request.folder ?? '' };
  }

  async function expectExact(attempt: AttemptId): Promise<void> {
    expect(await given.book.whenComplete(attempt)).toMatchObject({ state: 'exited', exitCode: 7 });
    expect(given.book.outputOf(attempt).toString() === expected).toBe(true);
  }

  test('when the ssh client is killed, again and again', async () => {
    const { worker } = await givenUpWorker();
    const attempt = given.run(worker, lineJob(4));
    for (let kill = 0; kill < 3; kill++) {
      await given.book.whenStored(attempt, 1_000 * (kill + 1));
      const clients = sshClientsOf(given.folder, worker);
      expect(clients).toHaveLength(1);
      for (const pid of clients) process.kill(pid, 'SIGKILL');
      await given.registry.whenState(worker, 'suspect');
      await given.registry.whenState(worker, 'up');
    }
    await expectExact(attempt);
  });

  test("when the worker's daemon is killed", async () => {
    const { worker, home } = await givenUpWorker();
    const attempt = given.run(worker, lineJob(4));
    for (let kill = 0; kill < 2; kill++) {
      await given.book.whenStored(attempt, 1_000 * (kill + 1));
      process.kill(daemonOf(home, worker), 'SIGKILL');
      await given.registry.whenState(worker, 'suspect');
      await given.registry.whenState(worker, 'up');
    }
    await expectExact(attempt);
  });

  test('when the server goes away in the middle and another one takes over', async () => {
    const { worker } = await givenUpWorker();
    const attempt = given.run(worker, lineJob(3));
    await given.book.whenStored(attempt, 1_000);
    await given.restart();
    await given.registry.whenState(given.registry.find(worker.row.id), 'up');
    await expectExact(attempt);
  });

  test('when all connections are reset', async () => {
    const { worker } = await givenUpWorker();
    const attempt = given.run(worker, lineJob(3));
    await given.book.whenStored(attempt, 5_000);
    proxy.reset();
    await given.registry.whenState(worker, 'suspect');
    await expectExact(attempt);
  });

  test('when the network swallows everything for 12 s', async () => {
    const { worker } = await givenUpWorker(1_000);
    const attempt = given.run(worker, lineJob(4));
    await given.book.whenStored(attempt, 5_000);
    proxy.blackhole();
    await given.registry.whenState(worker, 'degraded');
    await given.registry.whenState(worker, 'suspect');
    await sleep(8_000);
    proxy.heal();
    await given.registry.whenState(worker, 'up');
    await expectExact(attempt);
  });

  test('when it ends while nobody is connected', async () => {
    const { worker } = await givenUpWorker();
    const attempt = given.run(worker, lineJob(1));
    await given.book.whenStored(attempt, 500);
    proxy.refuse(true);
    proxy.reset();
    await given.registry.whenState(worker, 'suspect');
    await sleep(1_500);
    proxy.refuse(false);
    await expectExact(attempt);
  });
});
