import { Readable } from 'node:stream';
import { newId, type ProjectId } from '@helixcode/protocol/ids';
import { createCheckpoints } from '@helixcode/server/tasks/checkpoints';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenTasks, givenTasks } from '../support/given-tasks.ts';

const commit = 'c'.repeat(40);
let database: TestDatabase;
let given: GivenTasks;
const project: ProjectId = newId('project');

beforeAll(async () => {
  database = await givenDatabase();
  await database.db.query(`insert into projects (id, name) values ($1, 'sample')`, [project]);
  given = await givenTasks(database);
});
afterAll(async () => {
  await given.end();
  await database.drop();
});

test('a checkpoint whose worker ended before it took it is asked for again over the next link [T4]', async () => {
  const task = await given.submit({ kind: 'shell', spec: { project, commit, command: 'sleep 9' } });
  const { attempt, worker } = await given.pool.nextAssigned();
  await given.report(attempt, { state: 'running', streams: {} });
  await given.until(task, 'running');

  const requests: string[] = [];
  const firstLink = Promise.withResolvers<void>();
  const checkpoints = createCheckpoints({
    ...given.context,
    log: pino({ level: 'silent' }),
    refs: { keep: async () => {}, keepWritten: async () => undefined, treeOf: async () => undefined, retain: async () => {} },
    pool: {
      ...given.pool,
      checkpoint(_worker, _attempt, { request }) {
        requests.push(request);
        if (requests.length === 1) return firstLink.promise;
        // There is no link for a while, and then there is one again.
        if (requests.length === 2) return undefined;
        const header = { cause: 'asked', request, commit, files: 1, bundleBytes: 0, tookMs: 1, leftOut: [], leftOutCount: 0 };
        void checkpoints.storeCheckpoint(
          attempt,
          worker,
          Readable.from([Buffer.from(`${JSON.stringify(header)}\n`)], { objectMode: false }),
        );
        return new Promise(() => {});
      },
    },
  });
  const taking = checkpoints.take(task.id, undefined);
  firstLink.resolve();
  expect(await taking).toMatchObject([{ task: task.id, number: 1, commit }]);
  expect(new Set(requests).size).toBe(1);
});

test('a checkpoint of an attempt that its task has gone on without is not waited for [T4]', async () => {
  const task = await given.submit({ kind: 'shell', spec: { project, commit, command: 'sleep 9' } });
  const { attempt } = await given.pool.nextAssigned();
  await given.report(attempt, { state: 'running', streams: {} });
  await given.until(task, 'running');
  const link = Promise.withResolvers<void>();
  const checkpoints = createCheckpoints({
    ...given.context,
    refs: { keep: async () => {}, keepWritten: async () => undefined, treeOf: async () => undefined, retain: async () => {} },
    pool: { ...given.pool, checkpoint: () => link.promise },
  });
  const taking = checkpoints.takeOfAttempt({ attempt });
  await database.db.query(`update task_attempts set fenced = '{"code": "job.lost"}' where id = $1`, [attempt]);
  link.resolve();
  await expect(taking).rejects.toMatchObject({ code: 'checkpoint.refused' });
});

test('what nobody has changed since a checkpoint is that checkpoint, and the next attempt begins there [T4]', async () => {
  const task = await given.submit({ kind: 'shell', spec: { project, commit, command: 'sleep 9' } });
  const { attempt, worker } = await given.pool.nextAssigned();
  await given.report(attempt, { state: 'running', streams: {} });
  await given.until(task, 'running');
  const bring = (request: string | undefined, of: string): Promise<void> => {
    const header = {
      cause: request ? 'asked' : 'interval',
      request,
      commit: of,
      files: 1,
      bundleBytes: 0,
      tookMs: 1,
      leftOut: [],
      leftOutCount: 0,
    };
    return checkpoints.storeCheckpoint(attempt, worker, Readable.from([Buffer.from(`${JSON.stringify(header)}\n`)], { objectMode: false }));
  };
  const checkpoints = createCheckpoints({
    ...given.context,
    refs: {
      keep: async () => {},
      keepWritten: async (_project, _task, _number, { onto }) =>
        onto === 'a'.repeat(40) ? { commit: 'e'.repeat(40), newlyChanged: 1 } : undefined,
      treeOf: async () => 'tree',
      retain: async () => {},
    },
    pool: {
      ...given.pool,
      checkpoint(_worker, _attempt, { request, known }) {
        if (known === 'tree') checkpoints.missCheckpoint(request, { code: 'checkpoint.unchanged', message: 'nothing has changed' });
        else void bring(request, 'a'.repeat(40));
        return new Promise(() => {});
      },
    },
  });
  const restore = async () => (await database.db.query('select restore from distributed_tasks where id = $1', [task.id])).rows[0];

  const first = await checkpoints.takeOfAttempt({ attempt });
  // The clock records what is there for a moment.
  await bring(undefined, 'b'.repeat(40));
  expect(await restore()).toMatchObject({ restore: { number: 2 } });
  expect(await checkpoints.takeOfAttempt({ attempt, since: first.number })).toEqual(first);
  expect(await restore()).toMatchObject({ restore: { number: 1 } });

  const written = await checkpoints.takeWritten(attempt, first.number, [{ path: 'a.txt', bytes: Buffer.from('a') }]);
  expect(written).toMatchObject({ number: 3, commit: 'e'.repeat(40), files: 2, attempt: 1 });
  expect(await restore()).toMatchObject({ restore: { number: 3, commit: 'e'.repeat(40) } });
  // What cannot be told from here takes a look at the checkout.
  expect(await checkpoints.takeWritten(attempt, 2, [{ path: 'new.txt', bytes: Buffer.from('a') }])).toBeUndefined();
});
