import { newId, type ProjectId } from '@helixcode/protocol/ids';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import type { Db } from '@helixcode/server/db/db';
import { openAttemptBook } from '@helixcode/server/tasks/attempt-book';
import { listAttemptsOfTask } from '@helixcode/server/tasks/attempt-sql';
import { cancelTask } from '@helixcode/server/tasks/cancel-task';
import { resumeTask } from '@helixcode/server/tasks/resume-task';
import { getTask, listChildren } from '@helixcode/server/tasks/task-sql';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenTasks, givenTasks } from '../support/given-tasks.ts';

let database: TestDatabase;
let given: GivenTasks;
let project: ProjectId;

beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  given = await givenTasks(database);
  project = newId('project');
  await database.db.query(`insert into projects (id, name) values ($1, $1)`, [project]);
});
afterEach(() => given.end());

const away = 60_000;
const replaced = { lostAfterMs: 1_000, backoffMs: 0 };

const eventsOf = async (type: string): Promise<unknown[]> =>
  (await database.db.query<{ body: unknown }>(`select body from events where body->>'type' = $1 order by seq`, [type])).rows.map(
    (row) => row.body,
  );

/** A running task whose worker has been given up, and its replacement. */
async function givenReplaced(policy: TaskSubmissionInput['policy']) {
  const task = await given.submit({ kind: 'shell', spec: { command: 'work' }, policy: { ...replaced, ...policy } });
  const first = await given.pool.nextAssigned();
  await given.report(first.attempt, { state: 'running' });
  given.silence(first.worker, away);
  const second = await given.pool.nextAssigned();
  expect(second.worker).not.toBe(first.worker);
  expect(await getTask(database.db, task.id)).toMatchObject({ state: 'running', attempts: 2 });
  return { task, first, second };
}

test('retry: what ran on a worker silent for longer than lostAfterMs starts elsewhere, and both moves are told with the reason', async () => {
  const { first } = await givenReplaced({});
  expect(await eventsOf('attempt.fenced')).toMatchObject([
    { attempt: first.attempt, reason: { code: 'job.lost', message: expect.stringContaining('out of reach') } },
  ]);
  expect(await eventsOf('task.moved')).toMatchObject([
    { command: 'claim' },
    { command: 'retry', from: 'running', to: 'pending', reason: expect.stringContaining('starts elsewhere') },
    { command: 'claim' },
  ]);
});

test('first_done: of the original that is back and its replacement the first to end counts, the other is stopped', async () => {
  for (const isOriginal of [true, false]) {
    await given.end();
    given = await givenTasks(database);
    const { task, first, second } = await givenReplaced({ reconcile: 'first_done' });
    given.silence(first.worker, 0);
    await given.report(first.attempt, { state: 'running' });
    expect(await eventsOf('attempt.readmitted')).toMatchObject([{ attempt: first.attempt }]);
    const [winner, loser] = isOriginal ? [first, second] : [second, first];
    await given.report(winner.attempt, { exitCode: 0 });
    expect(await given.until(task, 'completed')).toMatchObject({ result: { attempt: winner.attempt } });
    expect(given.pool.cancelled.map(({ attempt }) => attempt)).toEqual([loser.attempt]);
    await given.report(loser.attempt, { exitCode: 1 });
    expect(await getTask(database.db, task.id)).toMatchObject({ state: 'completed', result: { attempt: winner.attempt } });
  }
});

test('keep_original: the original that is back goes on alone, and its replacement counts no more', async () => {
  const { task, first, second } = await givenReplaced({ reconcile: 'keep_original' });
  given.silence(first.worker, 0);
  await given.report(first.attempt, { state: 'running' });
  expect(given.pool.cancelled.map(({ attempt }) => attempt)).toEqual([second.attempt]);
  await given.report(second.attempt, { exitCode: 0 });
  expect(await getTask(database.db, task.id)).toMatchObject({ state: 'running' });
  await given.report(first.attempt, { exitCode: 0 });
  expect(await given.until(task, 'completed')).toMatchObject({ result: { attempt: first.attempt } });
});

test('keep_replacement: the original that is back is told to stop, and its success changes nothing', async () => {
  const { task, first, second } = await givenReplaced({ reconcile: 'keep_replacement' });
  given.silence(first.worker, 0);
  expect(await given.report(first.attempt, { state: 'running' })).toMatchObject([{ attempt: first.attempt, cancel: true }]);
  await given.report(first.attempt, { exitCode: 0 });
  expect(await getTask(database.db, task.id)).toMatchObject({ state: 'running' });
  await given.report(second.attempt, { exitCode: 0 });
  expect(await given.until(task, 'completed')).toMatchObject({ result: { attempt: second.attempt } });
});

test('claim: an original that is back before a replacement began goes on, and its result counts', async () => {
  const task = await given.submit({ kind: 'shell', spec: { command: 'work' }, policy: replaced, requires: ['linux'] });
  const first = await given.pool.nextAssigned();
  await given.report(first.attempt, { state: 'running' });
  for (const worker of given.workers) given.silence(worker, away);
  await given.until(task, 'pending');
  given.pool.silent.set(first.worker, 0);
  await given.report(first.attempt, { exitCode: 0 });
  expect(await given.until(task, 'completed')).toMatchObject({ attempts: 1, result: { attempt: first.attempt } });
});

test('a result that was there before the worker was given up is not counted twice, nor lost when the replacement is lost too', async () => {
  const { task, first, second } = await givenReplaced({});
  await given.report(second.attempt, { state: 'lost', reason: { code: 'job.lost', message: 'rebooted' } });
  const third = await given.pool.nextAssigned();
  await given.report(first.attempt, { exitCode: 0 });
  await given.until(task, 'completed');
  await given.report(third.attempt, { exitCode: 0 });
  expect((await eventsOf('task.moved')).filter((body) => (body as { command: string }).command === 'complete')).toHaveLength(1);
});

test('complete: an original that comes back after its replacement has ended is told to stop', async () => {
  const { task, first, second } = await givenReplaced({});
  await given.report(second.attempt, { exitCode: 0 });
  await given.until(task, 'completed');
  await given.report(first.attempt, { state: 'running' });
  expect(given.pool.cancelled.map(({ attempt }) => attempt)).toEqual([first.attempt]);
});

test('fail: a task that must not run twice fails when its worker is given up', async () => {
  const task = await given.submit({ kind: 'shell', spec: { command: 'deploy' }, policy: { ...replaced, replaceLost: 0 } });
  const { worker } = await given.pool.nextAssigned();
  given.silence(worker, away);
  expect(await given.until(task, 'failed')).toMatchObject({ failure: { code: 'job.lost' } });
});

test('a task with replace: false waits for its worker however long that takes', async () => {
  const task = await given.submit({ kind: 'shell', spec: { command: 'work' }, policy: { ...replaced, replace: false } });
  const other = await given.submit({ kind: 'shell', spec: { command: 'other' }, policy: replaced });
  const first = await given.pool.nextAssigned();
  await given.pool.nextAssigned();
  for (const worker of given.workers) given.silence(worker, away);
  await given.until(other, 'pending');
  for (const worker of given.workers) given.silence(worker, 0);
  await given.report(first.attempt, { exitCode: 0 });
  expect(await given.until(task, 'completed')).toMatchObject({ attempts: 1 });
});

/** Ten critical parts that can be recorded, eight of them running on two workers. */
async function givenCriticalTree(more: TaskSubmissionInput['policy'] = {}) {
  const task = await given.submit({
    kind: 'shell',
    spec: { command: 'work', project, commit: '0'.repeat(40), each: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'] },
    policy: { critical: true, checkpoint: {}, ...more },
  });
  const running = [];
  for (let n = 0; n < 8; n++) {
    const job = await given.pool.nextAssigned();
    await given.report(job.attempt, { state: 'running' });
    running.push(job);
  }
  const [lost = given.workers[0]] = running.map((job) => job.worker);
  return {
    task,
    running,
    lost,
    onLost: running.filter((job) => job.worker === lost),
    onOther: running.filter((job) => job.worker !== lost),
  };
}

const statesOf = async (task: { id: string }): Promise<Record<string, number>> => {
  const states: Record<string, number> = {};
  for (const child of await listChildren(database.db, task.id as never)) states[child.state] = (states[child.state] ?? 0) + 1;
  return states;
};

test('pause and resume: while the worker of a critical part is away its tree waits, and goes on when it is back', async () => {
  const { task, lost, onLost, onOther } = await givenCriticalTree();
  given.silence(lost, away);
  const root = await given.until(task, 'paused');
  expect(root.pause?.reason).toMatch(/critical.*out of reach.*helix tasks resume/);
  // Those on the other worker are asked to stop at a checkpoint; they are paused when they have.
  await expect.poll(() => given.pool.cancelled.map(({ attempt }) => attempt).sort()).toEqual(onOther.map((job) => job.attempt).sort());
  for (const job of onOther)
    await given.report(job.attempt, { state: 'cancelled', reason: { code: 'task.cancelled', message: 'stopped' } });
  expect(await statesOf(task)).toEqual({ running: onLost.length, paused: onOther.length + 2 });

  given.silence(lost, 0);
  for (let n = 0; n < onOther.length; n++) await given.pool.nextAssigned();
  await given.until(task, 'running');
  const attempts = await Promise.all((await listChildren(database.db, task.id)).map((child) => listAttemptsOfTask(database.db, child.id)));
  // What ran on the worker that was away was not started again.
  expect(
    attempts.flat().filter((attempt) => attempt.worker_id === lost && attempt.number === 1 && !attempt.is_complete).length,
  ).toBeGreaterThanOrEqual(onLost.length);
  const reasons = (await eventsOf('task.moved')).filter((body) => (body as { command: string }).command === 'resume');
  expect(reasons).not.toHaveLength(0);
});

test('a part whose stop is put on the books while its tree is resumed goes on with it [T5]', async () => {
  const { task, lost, onOther } = await givenCriticalTree();
  given.silence(lost, away);
  await given.until(task, 'paused');
  await expect.poll(() => given.pool.cancelled.length).toBe(onOther.length);
  // It has read that the tree is paused, and has not written yet.
  const hasRead = Promise.withResolvers<void>();
  const mayWrite = Promise.withResolvers<void>();
  const slow = openAttemptBook({ ...given.context, db: haltedBeforeTasksMove(database.db, hasRead.resolve, mayWrite.promise) });
  const [job] = onOther as [(typeof onOther)[number]];
  const stopped = slow.takeReports(job.worker, [{ attempt: job.attempt, state: 'cancelled', streams: {} }]);
  await hasRead.promise;
  given.silence(lost, 0);
  await expect.poll(async () => (await getTask(database.db, task.id)).state !== 'paused' || (await isAnyoneWaiting())).toBe(true);
  mayWrite.resolve();
  await stopped;
  await expect.poll(() => statesOf(task)).not.toHaveProperty('paused');
});

/** Stops each transaction where it would first move a task. */
function haltedBeforeTasksMove(db: Db, halted: () => void, mayGoOn: Promise<void>): Db {
  return {
    ...db,
    tx: (work) =>
      db.tx((tx) =>
        work({
          ...tx,
          async query(text, params) {
            if (text.startsWith('update distributed_tasks')) {
              halted();
              await mayGoOn;
            }
            return tx.query(text, params);
          },
        }),
      ),
  };
}

/** Whether a transaction waits for what another one has locked. */
async function isAnyoneWaiting(): Promise<boolean> {
  const { rowCount } = await database.db.query(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rowCount > 0;
}

test('resume by a person: the others go on while the critical part is still waited for', async () => {
  const { task, lost, onLost } = await givenCriticalTree();
  given.silence(lost, away);
  await given.until(task, 'paused');
  await resumeTask(given.context, task.id, false);
  await given.until(task, 'running');
  expect((await listAttemptsOfTask(database.db, await taskOf(onLost[0]?.attempt))).map((attempt) => attempt.fenced)).toEqual([null]);
});

test('resume elsewhere: the critical parts start on another worker', async () => {
  const { task, lost, onLost, onOther } = await givenCriticalTree();
  given.silence(lost, away);
  await given.until(task, 'paused');
  await expect.poll(() => given.pool.cancelled.length).toBe(onOther.length);
  await resumeTask(given.context, task.id, true);
  for (const job of onOther) await given.report(job.attempt, { state: 'cancelled' });
  const child = await taskOf(onLost[0]?.attempt);
  expect((await listAttemptsOfTask(database.db, child))[0]).toMatchObject({
    fenced: { code: 'job.lost', message: expect.stringContaining('somebody decided') },
  });
  for (let n = 0; n < 4; n++) expect((await given.pool.nextAssigned()).worker).not.toBe(lost);
});

test('a grace time ends the pause by itself, and the critical parts start elsewhere', async () => {
  const { task, lost, onOther } = await givenCriticalTree({ graceMs: 30_000 });
  given.silence(lost, 5_000);
  expect((await given.until(task, 'paused')).pause?.reason).toContain('after 30 s');
  await expect.poll(() => given.pool.cancelled.length).toBe(onOther.length);
  given.silence(lost, 30_000);
  await given.until(task, 'running');
  expect(await eventsOf('attempt.fenced')).not.toHaveLength(0);
});

test('cancel: a paused tree can be cancelled, and nothing of it goes on when the worker is back', async () => {
  const { task, lost } = await givenCriticalTree();
  given.silence(lost, away);
  await given.until(task, 'paused');
  await cancelTask(given.context, task.id);
  given.silence(lost, 0);
  expect(await statesOf(task)).toEqual({ cancelled: 10 });
  await expect(resumeTask(given.context, task.id, false)).rejects.toMatchObject({ code: 'task.move_refused' });
});

async function taskOf(attempt: string | undefined) {
  const { rows } = await database.db.query<{ task_id: Awaited<ReturnType<typeof given.submit>>['id'] }>(
    `select task_id from task_attempts where id = $1`,
    [attempt],
  );
  return rows[0]?.task_id as Awaited<ReturnType<typeof given.submit>>['id'];
}
