import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@helixcode/client/http-client';
import { newId } from '@helixcode/protocol/ids';
import { openDb } from '@helixcode/server/db/db';
import { startEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { migrate } from '@helixcode/server/db/migrate';
import { buildAgentBundle } from '@helixcode/server/workers/bootstrap/agent-bundle';
import { socketPaths } from '@helixcode/server/workers/transports/local-transport';
import { residentBytes } from '../../test/support/processes.ts';
import { givenHome, removeHome, startServer } from '../../test/support/server-process.ts';
import { atLeast, atMost, type Measurement, quantile } from './measurement.ts';
import { postgresProcesses, watchCpu } from './process-cost.ts';
import type { Simulation } from './simulate-workers.ts';

const LEVELS = [100, 250, 500];
const SLOTS = 4;
const JOB_MS = 200;
const SETTLE_MS = 3_000;
/** Longer than the window over which the server tells how late its loop is. */
const MEASURE_MS = 21_000;
/** Submissions a second; together they hold one task for each worker. */
const BATCHES_PER_SECOND = 10;
const PROBE_EVERY_MS = 50;

interface Level {
  tasksPerSecond: number;
  serverCpuPercent: number;
  serverRssMiB: number;
  postgresCpuPercent: number;
  loopDelayP99Ms: number;
  apiP50Ms: number;
  apiP99Ms: number;
}

/** Simulated workers that speak the real protocol, each given a task a second, around a real server. */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const { hash } = await buildAgentBundle();
  const alone = await measureLevel(cleanUp, 1, hash);
  const metrics: Measurement['metrics'] = {};
  let top = alone;
  for (const workers of LEVELS) {
    top = await measureLevel(cleanUp, workers, hash);
    for (const [name, value] of Object.entries(top)) metrics[`${name}At${workers}`] = value;
  }
  const most = LEVELS.at(-1) ?? 0;
  return {
    metrics,
    baseline: { name: 'the same server with one worker', metrics: { ...alone } },
    bars: [
      atLeast(`tasks per second with ${most} workers`, top.tasksPerSecond, most * 0.97),
      atMost(`event loop delay p99 in ms with ${most} workers`, top.loopDelayP99Ms, 50),
      atMost(`API p99 in ms with ${most} workers`, top.apiP99Ms, 50),
    ],
  };
}

async function measureLevel(outer: AsyncDisposableStack, count: number, agent: string): Promise<Level> {
  const cleanUp = outer.use(new AsyncDisposableStack());
  const home = givenHome();
  cleanUp.defer(() => removeHome(home));
  const sockets = mkdtempSync(path.join(tmpdir(), 'helix-sim-'));
  cleanUp.defer(() => rmSync(sockets, { recursive: true, force: true }));
  const { started } = await simulate(cleanUp, { agent, jobMs: JOB_MS, cores: SLOTS, sockets: await insertWorkers(home, sockets, count) });

  const server = await startServer(home, { HELIX_WORKERS_LOCAL: 'false', HELIX_GLOBAL_LOG_LEVEL: 'warn' });
  cleanUp.defer(() => server.stop());
  const { client } = server;
  while (((await client.call('server.get')).workers['up'] ?? 0) < count) await sleep(100);

  const load = giveTasks(client, count);
  cleanUp.defer(() => load.stop());
  await sleep(SETTLE_MS);
  const cpu = { server: watchCpu([server.pid]), postgres: watchCpu(postgresProcesses(home)) };
  const [startedBefore, beginMs] = [await started(), performance.now()];
  const probesMs = await probe(client, beginMs + MEASURE_MS);
  const [startedAfter, endMs] = [await started(), performance.now()];
  const level: Level = {
    tasksPerSecond: (startedAfter - startedBefore) / ((endMs - beginMs) / 1000),
    serverCpuPercent: cpu.server(),
    serverRssMiB: residentBytes(server.pid) / 2 ** 20,
    postgresCpuPercent: cpu.postgres(),
    loopDelayP99Ms: (await client.call('server.get')).loopDelayP99Ms,
    apiP50Ms: quantile(probesMs, 0.5),
    apiP99Ms: quantile(probesMs, 0.99),
  };
  await load.stop();
  await cleanUp.disposeAsync();
  return level;
}

/**
 * Writes workers down as a server would that had known them before: a server dials a new local worker at once, and would
 * start a daemon where nobody listens yet. @returns where each is expected to listen
 */
async function insertWorkers(home: string, folder: string, count: number): Promise<string[]> {
  // As the server does: the account that PostgreSQL runs under must pass through.
  chmodSync(home, 0o711);
  const postgres = await startEmbeddedPostgres(path.join(home, 'postgres'));
  await migrate(postgres.url);
  const db = openDb(postgres.url);
  const sockets: string[] = [];
  for (let n = 0; n < count; n++) {
    const [id, at] = [newId('worker'), path.join(folder, String(n))];
    await db.query(`insert into workers (id, name, transport, address, slots) values ($1, $2, 'local', $3, $4)`, [
      id,
      `simulated-${n}`,
      JSON.stringify({ folder: at }),
      SLOTS,
    ]);
    const socket = socketPaths(at, id).find((candidate) => Buffer.byteLength(candidate) <= 100);
    if (!socket) throw new Error(`no socket path below ${at} is short enough`);
    mkdirSync(path.dirname(socket), { recursive: true });
    sockets.push(socket);
  }
  await db.close();
  return sockets;
}

/** @returns how many jobs the workers were given so far, as of the next second */
async function simulate(cleanUp: AsyncDisposableStack, simulation: Simulation): Promise<{ started(): Promise<number> }> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'simulate-workers.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  cleanUp.defer(() => void child.kill());
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  child.stdin.write(`${JSON.stringify(simulation)}\n`);
  if ((await lines.next()).value !== 'ready') throw new Error('the simulated workers did not start');
  let newest = 0;
  let told = Promise.withResolvers<void>();
  void (async () => {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      newest = Number(line.value);
      told.resolve();
      told = Promise.withResolvers();
    }
  })();
  return {
    async started() {
      await told.promise;
      return newest;
    },
  };
}

/** Hands in `perSecond` tasks a second, spread over the second, until stopped. */
function giveTasks(client: Client, perSecond: number): { stop(): Promise<void> } {
  let isStopped = false;
  const running = (async () => {
    const beginMs = performance.now();
    for (let given = 0, batch = 1; !isStopped; batch++) {
      const due = Math.floor((batch / BATCHES_PER_SECOND) * perSecond);
      if (due > given) {
        const each = Array.from({ length: due - given }, (_, n) => String(given + n));
        await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'true', each } } });
        given = due;
      }
      await sleep(Math.max(0, beginMs + (batch / BATCHES_PER_SECOND) * 1000 - performance.now()));
    }
  })();
  running.catch(() => {});
  return {
    async stop() {
      isStopped = true;
      await running;
    },
  };
}

/** What people and pages ask while it works, one request after the other. @returns how long each took */
async function probe(client: Client, untilMs: number): Promise<number[]> {
  const timesMs: number[] = [];
  let { id } = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'true' } } });
  const requests = [
    () => client.call('server.get'),
    () => client.call('tasks.list', { query: { limit: 20 } }),
    () => client.call('tasks.get', { params: { task: id } }),
    async () => ({ id } = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'true' } } })),
  ];
  for (let n = 0; performance.now() < untilMs; n++) {
    const startMs = performance.now();
    await requests[n % requests.length]?.();
    timesMs.push(performance.now() - startMs);
    await sleep(PROBE_EVERY_MS);
  }
  return timesMs;
}
