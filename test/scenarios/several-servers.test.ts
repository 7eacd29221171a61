import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerView } from '@helixcode/protocol/api/views';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { type GivenFleet, givenFleet } from '../support/given-fleet.ts';
import { readText, snapshotOf } from '../support/hand-in.ts';
import { startJoiner } from '../support/joined-worker.ts';
import { givenHome, removeHome, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, newestEvent, outputReaches, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const LINES = 3_000;
/** Two lines at a time, in sixty gulps with a pause after each. */
const COMMAND = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "out $i"; echo "err $i" >&2; [ $((i % 50)) = 0 ] && sleep 0.3; done; exit 7`;
const linesOf = (stream: string): string => Array.from({ length: LINES }, (_, index) => `${stream} ${index + 1}\n`).join('');
const SLOTS = 4;

let fleet: GivenFleet;
let one: ServerProcess;
let two: ServerProcess;
let sshd: TestSshd | undefined;

beforeAll(async () => {
  fleet = await givenFleet({ HELIX_WORKERS_HEARTBEAT_MS: '1500', HELIX_WORKERS_LOCAL_SLOTS: String(SLOTS) });
  one = await fleet.start(fleet.addHome());
  two = await fleet.start(fleet.addHome());
  sshd = noSshd === undefined ? await givenSshd() : undefined;
  if (sshd) {
    const { host, port, user, identityFile, knownHostsFile } = sshd;
    const folder = path.join(one.home, 'remote');
    await one.client.call('workers.add', {
      body: { name: 'remote', transport: 'ssh', host, port, user, identityFile, knownHostsFile, folder, slots: SLOTS },
    });
  }
  await workersAreUp(one.client, sshd ? 3 : 2);
}, 120_000);
afterAll(async () => {
  const { items } = await two.client.call('workers.list');
  for (const { id } of items) await two.client.call('workers.remove', { params: { worker: id }, query: { force: true } });
  await fleet.remove();
  await sshd?.remove();
}, 90_000);

/** The worker that lives beside a server. */
async function localOf(server: ServerProcess): Promise<WorkerView> {
  const { items } = await two.client.call('workers.list');
  const worker = items.find(({ address }) => address.startsWith(server.home));
  if (!worker) throw new Error(`there is no local worker of ${server.home}`);
  return worker;
}

const isUp = (server: ServerProcess, worker: WorkerView, after: number) =>
  eventOf(server, `worker:${worker.id}`, ({ body }) => body.type === 'worker.moved' && body.to === 'up', after);

/** A task that is divided, whose driver has more to do when the gate opens: each part writes its name into the ledger. */
async function submitGated(server: ServerProcess, name: string, items: number): Promise<{ task: string; go: string; ledger: string }> {
  const go = path.join(server.home, `${name}-go`);
  const ledger = path.join(server.home, `${name}-ledger`);
  writeFileSync(ledger, '');
  const { id } = await server.client.call('tasks.submit', {
    body: {
      kind: 'shell',
      spec: {
        // It does not outlive a test that fails: its folder goes, and it ends.
        command: `while ! [ -e ${go} ]; do [ -e ${ledger} ] || exit 9; sleep 0.1; done; echo "$HELIX_ITEM" >>${ledger}; echo "did $HELIX_ITEM"`,
        each: Array.from({ length: items }, (_, index) => `item-${index}`),
      },
    },
  });
  await expect
    .poll(
      async () => (await server.client.call('tasks.get', { params: { task: id } })).tree.filter(({ state }) => state === 'running').length,
      {
        timeout: 30_000,
      },
    )
    .toBeGreaterThan(0);
  return { task: id, go, ledger };
}

async function expectEachOnce(server: ServerProcess, { task, ledger }: { task: string; ledger: string }, items: number): Promise<void> {
  expect(await taskIsSettled(server, task)).toMatchObject({ state: 'completed', result: { items, failed: 0 } });
  const done = readFileSync(ledger, 'utf8').trim().split('\n');
  expect(done.toSorted()).toEqual(Array.from({ length: items }, (_, index) => `item-${index}`).toSorted());
}

test('both servers answer for all workers, and each tells which servers there are [O2]', async () => {
  const [first, second] = await Promise.all([one, two].map(({ client }) => client.call('servers.list')));
  expect(first?.items.map(({ id, state, workers }) => ({ id, state, workers }))).toEqual(
    second?.items.map(({ id, state, workers }) => ({ id, state, workers })),
  );
  expect(first?.items).toMatchObject([
    { url: one.url, state: 'live', workers: sshd ? 2 : 1, isAnswering: true },
    { url: two.url, state: 'live', workers: 1, isAnswering: false },
  ]);
  await workersAreUp(two.client, sshd ? 3 : 2);
});

test('what runs on a worker of another server is placed, read, and cancelled through any of them [O2]', async () => {
  const worker = await localOf(two);
  const { id } = await one.client.call('tasks.submit', {
    body: { kind: 'shell', worker: worker.id, spec: { command: 'echo here; sleep 600' } },
  });
  await outputReaches(one.client, id, 'here\n'.length);
  await one.client.call('tasks.cancel', { params: { task: id } });
  await expect
    .poll(async () => (await one.client.call('tasks.get', { params: { task: id } })).attempts.map(({ state }) => state), {
      timeout: 20_000,
    })
    .toEqual(['cancelled']);
  const before = await newestEvent(one.client);
  await one.client.call('workers.admission', { params: { worker: worker.id }, body: { admission: 'draining' } });
  await expect.poll(async () => (await localOf(two)).admission, { timeout: 10_000 }).toBe('draining');
  await two.client.call('workers.admission', { params: { worker: worker.id }, body: { admission: 'open' } });
  await eventOf(one, `worker:${worker.id}`, ({ body }) => body.type === 'worker.admission' && body.to === 'open', before);
  await expect.poll(async () => (await one.client.call('workers.get', { params: { worker: worker.id } })).admission).toBe('open');
}, 60_000);

test('a checkpoint is taken through a server that does not hold the worker, and any server can begin there [O2] [T4]', async () => {
  const worker = await localOf(two);
  const folder = path.join(one.home, 'code');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'a.txt'), 'a\n');
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: folder });
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
  const code = await snapshotOf(one.client, folder);
  const { id } = await one.client.call('tasks.submit', {
    body: {
      kind: 'shell',
      worker: worker.id,
      spec: {
        ...code,
        command:
          'echo "${HELIX_CHECKPOINT:-start}"; [ -n "$HELIX_CHECKPOINT" ] || { echo more >>a.txt; echo ready; sleep 600; }; cat a.txt',
      },
    },
  });
  await outputReaches(one.client, id, 'start\nready\n'.length);
  const { items } = await one.client.call('tasks.checkpoint', { params: { task: id }, body: { name: 'far' } });
  expect(items).toMatchObject([{ number: 1, name: 'far', files: 1 }]);
  await one.client.call('tasks.rollback', { params: { task: id }, body: { to: 'far' } });
  expect(await taskIsSettled(one, id)).toMatchObject({ state: 'completed' });
  expect(await readText(one.client, id)).toBe('1\na\nmore\n');
}, 60_000);

test('after kill -9 of a server another one takes over its workers and its tasks, and loses no byte [O2] [W7]', async () => {
  const workers = [await localOf(one), ...(sshd ? [await one.client.call('workers.get', { params: { worker: 'remote' } })] : [])];
  const jobs = await Promise.all(
    workers.map((worker) => one.client.call('tasks.submit', { body: { kind: 'shell', worker: worker.id, spec: { command: COMMAND } } })),
  );
  const gated = await submitGated(one, 'killed', 12);
  await Promise.all(jobs.map(({ id }) => outputReaches(one.client, id, 2_000)));

  const before = await newestEvent(two.client);
  const killedAtMs = Date.now();
  await one.kill();
  const ups = await Promise.all(workers.map((worker) => isUp(two, worker, before)));
  const takenOverMs = ups.map((up) => Date.parse(up.at) - killedAtMs);
  if (process.env['HELIX_SHOW_TIMES']) console.log({ takenOverMs });
  expect(Math.max(...takenOverMs)).toBeLessThan(15_000);
  writeFileSync(gated.go, '');
  await expectEachOnce(two, gated, 12);
  for (const { id } of jobs) {
    expect(await taskIsSettled(two, id)).toMatchObject({
      state: 'failed',
      failure: { code: 'job.command_failed' },
      attempts: [{ number: 1, exitCode: 7 }],
    });
    expect((await readText(two.client, id, 'out')) === linesOf('out')).toBe(true);
    expect((await readText(two.client, id, 'err')) === linesOf('err')).toBe(true);
  }
  expect((await two.client.call('servers.list')).items).toMatchObject([{ url: two.url, workers: workers.length + 1 }]);

  one = await fleet.start(one.home);
  expect((await one.client.call('servers.list')).items).toHaveLength(2);
}, 120_000);

test('a worker that dials in belongs to the server it dials, and is seen by all [O2] [W2]', async () => {
  const { worker, token } = await one.client.call('workers.enrol', { body: { name: 'laptop' } });
  const before = await newestEvent(one.client);
  const folder = path.join(one.home, 'laptop');
  const joiner = startJoiner(two.url, { folder, token });
  try {
    await isUp(one, worker, before);
    const { id } = await one.client.call('tasks.submit', {
      body: { kind: 'shell', worker: worker.id, spec: { command: 'echo from the laptop' } },
    });
    expect(await taskIsSettled(one, id)).toMatchObject({ state: 'completed' });
    expect(await readText(one.client, id)).toBe('from the laptop\n');
    // Asked of the server that does not hold it.
    expect(await one.client.call('workers.remove', { params: { worker: worker.id }, query: { force: true } })).toMatchObject({
      uninstalled: true,
    });
    expect((await two.client.call('workers.list')).items.map(({ name }) => name)).not.toContain('laptop');
  } finally {
    await joiner.kill();
  }
}, 60_000);

test('a server that was stopped for longer than its lease finds itself replaced, and does nothing twice [O2]', async () => {
  // The one that holds the workers by now.
  const [zombie, other] = [two, one];
  const gated = await submitGated(zombie, 'stopped', 12);
  const worker = await localOf(zombie);
  const before = await newestEvent(other.client);
  process.kill(zombie.pid, 'SIGSTOP');
  await isUp(other, worker, before);
  await sleep(3_000);
  process.kill(zombie.pid, 'SIGCONT');
  writeFileSync(gated.go, '');
  await expectEachOnce(other, gated, 12);
  const { tree } = await other.client.call('tasks.get', { params: { task: gated.task } });
  const attempts = await Promise.all(
    tree.map(async (leaf) => (await other.client.call('tasks.get', { params: { task: leaf.id } })).attempts),
  );
  expect(attempts.map((of) => of.length)).toEqual(tree.map(() => 1));
  // It comes back by itself, as after a crash.
  await expect
    .poll(async () => (await other.client.call('servers.list')).items.map(({ state }) => state), { timeout: 30_000 })
    .toEqual(['live', 'live']);
  await expect.poll(() => zombie.client.call('servers.list').then(({ items }) => items.length, String), { timeout: 30_000 }).toBe(2);
}, 120_000);

test('a server that is told to end hands its workers and tasks over at once [O2]', async () => {
  const [leaver, stayer] = [one, two];
  const gated = await submitGated(leaver, 'handed-over', 12);
  const worker = await localOf(leaver);
  const before = await newestEvent(stayer.client);
  const startMs = Date.now();
  await leaver.stop();
  const up = await isUp(stayer, worker, before);
  if (process.env['HELIX_SHOW_TIMES']) console.log({ handedOverMs: Date.parse(up.at) - startMs, endedMs: Date.now() - startMs });
  expect(Date.parse(up.at) - startMs).toBeLessThan(10_000);
  writeFileSync(gated.go, '');
  await expectEachOnce(stayer, gated, 12);
  one = await fleet.start(leaver.home);
}, 120_000);

test('a server that cannot open the secrets, or has another storage, or is older than the database, is refused [O2]', async () => {
  const home = fleet.addHome();
  const environment = { DATABASE_URL: fleet.databaseUrl, HELIX_GLOBAL_STORAGE_FOLDER: home };
  await expect(startServer(home, environment)).rejects.toThrow('server.storage_differs');
  const stranger = givenHome();
  await expect(startServer(stranger, environment)).rejects.toThrow('server.secret_differs');
  await removeHome(stranger);

  const client = new pg.Client({ connectionString: fleet.databaseUrl });
  await client.connect();
  try {
    await client.query(`insert into helix.schema_migrations (name, sha256) values ('9999-of-a-newer-release', '')`);
    await expect(startServer(home, environment)).rejects.toThrow('database.migration_refused');
    // Those that run go on.
    const worker = await localOf(one);
    const { id } = await two.client.call('tasks.submit', { body: { kind: 'shell', worker: worker.id, spec: { command: 'echo on' } } });
    expect(await taskIsSettled(one, id)).toMatchObject({ state: 'completed' });
  } finally {
    await client.query(`delete from helix.schema_migrations where name = '9999-of-a-newer-release'`);
    await client.end();
  }
}, 60_000);
