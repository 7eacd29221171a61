import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { type AttemptId, newId } from '@helixcode/protocol/ids';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { Db } from '@helixcode/server/db/db';
import { workerHandlers } from '@helixcode/server/workers/worker-handlers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { givenMemoryBook, type MemoryBook } from '../support/memory-book.ts';
import { givenSimulatedWorker, type SimulatedWorker } from '../support/simulated-worker.ts';
import { givenRegistry, socketTransport, type TestRegistry, type TestRegistryOptions } from '../support/worker-registry.ts';

let database: TestDatabase;
let folder: string;
let book: MemoryBook;
let registry: TestRegistry;
let simulated: SimulatedWorker;
let number = 0;

beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'helix-registry-'));
  book = givenMemoryBook();
  simulated = await givenSimulatedWorker({ socketPath: join(folder, 'w.sock') });
});
afterEach(async () => {
  await registry.stop();
  for (const worker of registry.all()) await registry.remove(worker, true);
  await simulated.close();
  rmSync(folder, { recursive: true });
});

async function given(options: Partial<TestRegistryOptions> = {}): Promise<void> {
  registry = await givenRegistry({ db: database.db, folder, book, transports: { local: socketTransport }, ...options });
}

function request(over: Partial<Parameters<TestRegistry['add']>[0]> = {}): Parameters<TestRegistry['add']>[0] {
  return { name: `box-${number++}`, transport: 'local', labels: ['fast'], folder: join(folder, 'w.sock'), ...over };
}

function aJob(command: string): JobSpec {
  return { command, env: {}, killGraceMs: 100, outputLimitBytes: 1e9 };
}

async function historyOf(id: string): Promise<string[]> {
  const handlers = workerHandlers({ db: database.db, registry });
  const call = {
    params: { worker: id },
    query: { limit: 50 },
    body: undefined,
    user: newId('user'),
    signal: AbortSignal.timeout(1000),
    lastEventId: undefined,
  };
  return (await handlers['workers.events'](call)).items.map(({ from, to }) => `${from} → ${to}`).reverse();
}

test('a worker that is added comes up, runs a job, and its way is on record with an event for each move', async () => {
  await given();
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');
  const attempt: AttemptId = newId('attempt');
  book.want(worker.row.id, attempt, aJob('echo hello'));
  registry.assign(worker.row.id, attempt, aJob('echo hello'), {});
  await book.whenComplete(attempt);

  expect(book.outputOf(attempt).toString()).toBe('echo hello\n');
  expect(registry.workers()[0]).toMatchObject({ state: 'up', slots: 4, admission: 'open' });
  expect([...(registry.workers()[0]?.labels ?? [])]).toEqual(expect.arrayContaining(['fast', 'git', 'git2', 'linux', 'x64']));
  expect(await historyOf(worker.row.name)).toEqual(['new → connecting', 'connecting → up']);
  const { rows } = await database.db.query<{ type: string }>(`select body->>'type' as type from events where worker_id = $1 order by seq`, [
    worker.row.id,
  ]);
  expect(rows.map(({ type }) => type)).toEqual(['worker.added', 'worker.moved', 'worker.moved']);
});

test('a worker whose link breaks is suspect, is dialled again, and takes up where it was', async () => {
  await given();
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');
  simulated.dropLinks();
  await registry.whenState(worker, 'suspect');
  await registry.whenState(worker, 'up');

  expect(await historyOf(worker.row.id)).toEqual([
    'new → connecting',
    'connecting → up',
    'up → suspect',
    'suspect → connecting',
    'connecting → up',
  ]);
});

test('a worker that stays away is lost, its jobs are given up, and it is taken back when it returns', async () => {
  await given({ workers: { lostAfterMs: 1_000 } });
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');
  await simulated.close();
  await registry.whenState(worker, 'lost');

  expect(registry.lost).toEqual([{ worker: worker.row.id, reason: expect.objectContaining({ code: 'job.lost' }) }]);
  simulated = await givenSimulatedWorker({ socketPath: join(folder, 'w.sock') });
  await registry.reconnect(worker, undefined);
  await registry.whenState(worker, 'up');
});

test('a silent worker is degraded, and well again when it speaks', async () => {
  await given({ workers: { heartbeatMs: 100 } });
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');
  simulated.hang(true);
  await registry.whenState(worker, 'degraded');
  simulated.hang(false);
  await registry.whenState(worker, 'up');

  expect((await historyOf(worker.row.id)).slice(2)).toEqual(['up → degraded', 'degraded → up']);
});

test('what workers are there, and how they stand, outlives the server', async () => {
  await given();
  const worker = await registry.add(request({ slots: 7 }));
  await registry.whenState(worker, 'up');
  await registry.setAdmission(worker, 'draining');
  await registry.stop();

  await given();
  const again = registry.find(worker.row.name);
  await registry.whenState(again, 'up');

  expect(registry.workers()).toMatchObject([{ id: worker.row.id, slots: 7, admission: 'draining' }]);
  expect((await historyOf(worker.row.id)).slice(2)).toEqual(['up → suspect', 'suspect → connecting', 'connecting → up']);
});

test('workers of the configuration are added once, and follow it when it changes', async () => {
  const pool = [{ name: 'configured', transport: 'local' as const, labels: [], folder: join(folder, 'w.sock') }];
  await given({ workers: { pool } });
  const { id } = registry.find('configured').row;
  await registry.stop();
  await given({ workers: { pool: pool.map((worker) => ({ ...worker, slots: 3 })) } });

  expect(registry.all().map(({ row }) => [row.id, row.slots])).toEqual([[id, 3]]);
});

test('a name can be used once at a time', async () => {
  await given();
  const first = request();
  await registry.add(first);
  await expect(registry.add(first)).rejects.toMatchObject({ code: 'worker.exists' });
  await registry.remove(registry.find(first.name), false);

  await expect(registry.add(first)).resolves.toBeDefined();
});

test('a worker with jobs is removed only by force, which stops them', async () => {
  await simulated.close();
  simulated = await givenSimulatedWorker({ socketPath: join(folder, 'w.sock'), jobMs: 60_000 });
  await given();
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');
  const attempt = newId('attempt');
  book.want(worker.row.id, attempt, aJob('sleep 60'));
  registry.assign(worker.row.id, attempt, aJob('sleep 60'), {});
  await expect.poll(() => simulated.started).toEqual([attempt]);

  await expect(registry.remove(worker, false)).rejects.toMatchObject({ code: 'worker.busy' });
  expect(await registry.remove(worker, true)).toBe(true);
  expect(simulated.cancelled).toEqual([attempt]);
  expect(registry.lost).toMatchObject([{ worker: worker.row.id }]);
  expect(() => registry.find(worker.row.name)).toThrow(expect.objectContaining({ code: 'worker.not_found' }));
});

test('an older agent is asked to make room, and used as it is when it does not', async () => {
  await given({ agentHash: 'newer' });
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');

  expect(simulated.heard.filter(({ t }) => t === 'shutdown')).toHaveLength(2);
  expect(worker.row.agent).toBe('simulated');
});

test('the newest numbers of a worker are kept for the next start', async () => {
  await given({ workers: { heartbeatMs: 100 } });
  const worker = await registry.add(request());
  await registry.whenState(worker, 'up');
  await registry.stop();
  await given();

  expect(registry.find(worker.row.id).load).toMatchObject({ memoryFreeBytes: 1e9 });
});

test('while the database is away, a worker that dials in is looked for with growing pauses', async () => {
  let isAway = false;
  const refusedAtMs: number[] = [];
  const refuse = (): Promise<never> => {
    refusedAtMs.push(performance.now());
    return Promise.reject(new CodedError('database.unavailable', 'the database does not answer'));
  };
  const db: Db = {
    ...database.db,
    query: (...statement) => (isAway ? refuse() : database.db.query(...statement)),
    tx: (work) => (isAway ? refuse() : database.db.tx(work)),
  };
  await given({ db });
  await registry.enrol({ name: 'far', validMs: 60_000 });
  isAway = true;
  await expect.poll(() => refusedAtMs.length, { timeout: 20_000 }).toBeGreaterThan(5);
  isAway = false;
  // Each look is refused once or twice; the shortest pauses are 125 and 250 ms.
  expect((refusedAtMs.at(-1) ?? 0) - (refusedAtMs[0] ?? 0)).toBeGreaterThan(300);
});
