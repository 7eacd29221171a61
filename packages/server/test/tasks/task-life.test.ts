import { newId, type UserId, type WorkerId } from '@helixcode/protocol/ids';
import { type TaskSubmissionInput, taskSubmission } from '@helixcode/protocol/task/task-spec';
import { TASK_MOVES, type TaskCommand, type TaskState } from '@helixcode/protocol/task/task-state';
import type { JobReport } from '@helixcode/protocol/worker/job';
import type { DurableEngine } from '@helixcode/server/engine/durable-engine';
import { openAttemptBook } from '@helixcode/server/tasks/attempt-book';
import { cancelTask } from '@helixcode/server/tasks/cancel-task';
import { retryTask } from '@helixcode/server/tasks/retry-task';
import { submitTask } from '@helixcode/server/tasks/submit-task';
import { startTaskEngine, type TaskEngine } from '@helixcode/server/tasks/task-engine';
import type { TaskRow } from '@helixcode/server/tasks/task-row';
import { getTask, listChildren } from '@helixcode/server/tasks/task-sql';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { givenRecordingPool, type RecordingPool } from '../support/recording-pool.ts';

let database: TestDatabase;
let pool: RecordingPool;
let engine: TaskEngine;
let book: ReturnType<typeof openAttemptBook>;
let workers: WorkerId[];
const user = 'usr_test' as UserId;
const moved = new Set<() => void>();

beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(async () => {
  await database.drop();
});

beforeEach(async () => {
  await engine?.stop();
  await database.db.query('truncate distributed_tasks, workers, events cascade');
  pool = givenRecordingPool();
  workers = [newId('worker'), newId('worker')];
  for (const id of workers)
    await database.db.query(`insert into workers (id, name, transport, address) values ($1, $1, 'local', '{}')`, [id]);
  const wakeUps = (): void => {
    for (const wake of moved) wake();
  };
  engine = startTaskEngine({
    db: database.db,
    serverId: newId('server'),
    pool,
    log: pino({ level: 'silent' }),
    outputLimitBytes: 2 ** 20,
    lostAfterMs: 300_000,
    wakeEvents: wakeUps,
    nameOfWorker: (id) => id,
    projectFiles: async () => ({ paths: ['src/a'], read: async () => 'a', sizeBytes: () => 1 }),
    engine: Promise.resolve(turnsInProcess()),
  });
  book = openAttemptBook({ ...engine.context, nameOfWorker: (id) => id });
  pool.set(
    workers.map((id) => ({
      id,
      name: id,
      state: 'up',
      admission: 'open',
      slots: 2,
      labels: new Set(['linux']),
      load: undefined,
      warmProjects: new Set(),
    })),
  );
});

/** Drivers run at once in this process; durability is the engine's own test. */
function turnsInProcess(): DurableEngine {
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  async function run(id: string): Promise<void> {
    for (;;) {
      again.delete(id);
      const turn = await engine.turn(id);
      if (turn.over || (turn.lookAgainMs > 0 && !again.has(id))) return;
    }
  }
  const look = (id: string): void => {
    again.add(id);
    if (!running.has(id))
      running.set(
        id,
        run(id).finally(() => {
          running.delete(id);
          if (again.has(id)) look(id);
        }),
      );
  };
  return { start: async (id) => look(id), wake: look, cancel: async () => {}, adopt: async () => 0, close: async () => {} };
}

const submit = (input: TaskSubmissionInput): Promise<TaskRow> =>
  submitTask({ ...engine.context, startDriver: engine.startDriver }, taskSubmission.parse(input), user);

const report = (attempt: string, facts: Partial<JobReport>): Promise<unknown> =>
  book.takeReports(workers[0] as WorkerId, [{ attempt, state: 'exited', streams: {}, ...facts } as JobReport]);

/** Waits until the task is in the state; every commit with events is looked at. */
async function until(task: TaskRow, state: TaskRow['state']): Promise<TaskRow> {
  for (;;) {
    const happened = new Promise<void>((resolve) => moved.add(resolve));
    const row = await getTask(database.db, task.id);
    if (row.state === state) return row;
    await happened;
  }
}

test('a command that ends with 0 completes its task', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'true' } });
  const { attempt, spec } = await pool.nextAssigned();
  expect(spec.command).toBe('true');
  await report(attempt, { exitCode: 0 });
  expect(await until(task, 'completed')).toMatchObject({ result: { exitCode: 0 } });
});

test('a failed command fails its task with its exit status and where to look', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'exit 7' } });
  await report((await pool.nextAssigned()).attempt, { exitCode: 7 });
  const { failure } = await until(task, 'failed');
  expect(failure).toMatchObject({ code: 'job.command_failed', next: `helix tasks logs ${task.id}`, details: { exitCode: 7 } });
});

test('an attempt is not over before all of its output is stored', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'echo hello' } });
  const { attempt } = await pool.nextAssigned();
  const facts = { exitCode: 0, streams: { out: 6, err: 0 } };
  const orders = await report(attempt, facts);
  expect(orders).toEqual([{ attempt, collect: [{ stream: 'out', from: 0 }], cancel: false, forget: false }]);
  expect(await getTask(database.db, task.id)).toMatchObject({ state: 'running' });

  await book.storeOutput([{ attempt, stream: 'out', offset: 0, bytes: Buffer.from('hello\n') }]);
  expect(await report(attempt, facts)).toEqual([{ attempt, collect: [], cancel: false, forget: true }]);
  await until(task, 'completed');
});

test('a piece of output that arrives twice is stored once', async () => {
  await submit({ kind: 'shell', spec: { command: 'echo hello' } });
  const { attempt } = await pool.nextAssigned();
  const piece = { attempt, stream: 'out', offset: 0, bytes: Buffer.from('hello\n') };
  await Promise.all([book.storeOutput([piece]), book.storeOutput([piece])]);
  const { rows } = await database.db.query<{ count: number }>('select count(*)::int as count from output_chunks');
  expect(rows).toEqual([{ count: 1 }]);
});

test('a failed command is tried again as often as its policy says, elsewhere if it can be [T3]', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'false' }, policy: { maxAttempts: 2, backoffMs: 0 } });
  const first = await pool.nextAssigned();
  await report(first.attempt, { exitCode: 1 });
  const second = await pool.nextAssigned();
  expect(second.worker).not.toBe(first.worker);
  await report(second.attempt, { exitCode: 1 });
  expect(await until(task, 'failed')).toMatchObject({ attempts: 2 });
});

test('a job that waited in vain for a slot is placed anew, which is no try', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'true' }, policy: { replaceLost: 0 } });
  const first = await pool.nextAssigned();
  await report(first.attempt, { state: 'refused', reason: { code: 'job.recalled', message: 'no slot came free' } });
  const second = await pool.nextAssigned();
  expect(second.worker).not.toBe(first.worker);
  await report(second.attempt, { exitCode: 0 });
  await until(task, 'completed');
});

test('a task starts next although a thousand of another tree came before it, and those say once why they wait', async () => {
  const tree = await submit({ kind: 'shell', spec: { command: 'true', each: Array.from({ length: 1_000 }, (_, n) => String(n)) } });
  const running = [await pool.nextAssigned(), await pool.nextAssigned(), await pool.nextAssigned(), await pool.nextAssigned()];
  const late = await submit({ kind: 'shell', spec: { command: 'echo late' } });
  await report(running[0]?.attempt ?? '', { exitCode: 0 });
  expect((await pool.nextAssigned()).spec.command).toBe('echo late');
  const { rows } = await database.db.query<{ waiting: number }>(
    `select count(*)::int as waiting from distributed_tasks where root_id = $1 and waiting_for is not null`,
    [tree.id],
  );
  expect(rows[0]?.waiting).toBeLessThan(20);
  await cancelTask(engine.context, tree.id);
  await cancelTask(engine.context, late.id);
});

test('a lost job is started again elsewhere, and its late report changes nothing', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'sleep 9' }, policy: { backoffMs: 0 } });
  const first = await pool.nextAssigned();
  await book.loseWorker(first.worker, { code: 'job.lost', message: 'its worker was silent for too long' });
  const second = await pool.nextAssigned();
  expect(await report(first.attempt, { exitCode: 3 })).toEqual([{ attempt: first.attempt, collect: [], cancel: false, forget: true }]);
  await report(second.attempt, { exitCode: 0 });
  expect(await until(task, 'completed')).toMatchObject({ result: { attempt: second.attempt, exitCode: 0 } });
});

test('a command that must not run twice fails when its outcome is lost', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'deploy' }, policy: { replaceLost: 0 } });
  await report((await pool.nextAssigned()).attempt, { state: 'lost', reason: { code: 'job.lost', message: 'the machine was restarted' } });
  expect(await until(task, 'failed')).toMatchObject({ failure: { code: 'job.lost', message: 'the machine was restarted' } });
});

test('a cancelled tree asks its workers to stop, and a late success does not bring it back', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'sleep 9', each: ['a', 'b'] } });
  const [one, two] = [await pool.nextAssigned(), await pool.nextAssigned()];
  await cancelTask(engine.context, task.id);
  expect(new Set(pool.cancelled.map((row) => row.attempt))).toEqual(new Set([one.attempt, two.attempt]));
  await report(one.attempt, { exitCode: 0 });
  const children = await listChildren(database.db, task.id);
  expect(children.map((child) => child.state)).toEqual(['cancelled', 'cancelled']);
  expect(await getTask(database.db, task.id)).toMatchObject({ state: 'cancelled' });
});

test('one command over many items is one subtask each, and a failure leaves the finished ones their results [T1] [T8]', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'check "$HELIX_ITEM"', each: ['x', 'y', 'z'] } });
  for (let left = 3; left > 0; left--) {
    const { attempt, spec } = await pool.nextAssigned();
    await report(attempt, { exitCode: spec.env.HELIX_ITEM === 'y' ? 1 : 0 });
  }
  const failed = await until(task, 'failed');
  expect(failed).toMatchObject({
    result: { items: 3, failed: 1 },
    progress: { done: 3, total: 3 },
    failure: { code: 'task.subtask_failed' },
  });

  await retryTask({ ...engine.context, startDriver: engine.startDriver }, task.id);
  const again = await pool.nextAssigned();
  expect(again.spec.env.HELIX_ITEM).toBe('y');
  await report(again.attempt, { exitCode: 0 });
  await until(task, 'completed');
  expect(pool.assigned).toHaveLength(4);
});

test('a task that was cancelled and retried hears no more of the attempt that was cancelled, however that ends [T8]', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'work' } });
  const before = await pool.nextAssigned();
  await cancelTask(engine.context, task.id);
  await retryTask({ ...engine.context, startDriver: engine.startDriver }, task.id);
  const after = await pool.nextAssigned();
  await report(before.attempt, { exitCode: 1 });
  expect(await getTask(database.db, task.id)).toMatchObject({ state: 'running' });
  await report(after.attempt, { exitCode: 0 });
  expect(await until(task, 'completed')).toMatchObject({ attempts: 2, result: { attempt: after.attempt } });
});

test('a build that was cancelled and retried has its targets wait for what they need, by moves of the table [M2]', async () => {
  const project = newId('project');
  await database.db.query('insert into projects (id, name) values ($1, $1)', [project]);
  const target = (name: string, needs: string[]) => ({ name, needs, command: `make ${name}`, inputs: ['src/*'], outputs: [name] });
  const targets = [target('lib', []), target('app', ['lib'])];
  pool.set(pool.workers().map((worker) => ({ ...worker, labels: new Set(['linux', 'git', 'tar']) })));
  const task = await submit({ kind: 'build', spec: { project, commit: 'c'.repeat(40), targets } });
  expect((await pool.nextAssigned()).spec.command).toBe('make lib');
  await cancelTask(engine.context, task.id);
  await retryTask({ ...engine.context, startDriver: engine.startDriver }, task.id);
  expect((await pool.nextAssigned()).spec.command).toBe('make lib');
  const { rows } = await database.db.query<{ from: TaskState; to: TaskState; command: TaskCommand }>(
    `select body->>'from' as "from", body->>'to' as "to", body->>'command' as command from events where body->>'type' = 'task.moved' order by seq`,
  );
  expect(rows).toContainEqual({ from: 'cancelled', to: 'blocked', command: 'block' });
  for (const { from, to, command } of rows) expect(TASK_MOVES[from][command]).toBe(to);
  await cancelTask(engine.context, task.id);
});

test('a completed task cannot be cancelled or retried', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'true' } });
  await report((await pool.nextAssigned()).attempt, { exitCode: 0 });
  await until(task, 'completed');
  await expect(cancelTask(engine.context, task.id)).rejects.toMatchObject({ code: 'task.move_refused' });
  await expect(retryTask({ ...engine.context, startDriver: engine.startDriver }, task.id)).rejects.toMatchObject({
    code: 'task.move_refused',
  });
});

test('a task whose deadline passes fails and is stopped', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'sleep 99' }, deadlineMs: 50 });
  const { attempt } = await pool.nextAssigned();
  expect(await until(task, 'failed')).toMatchObject({ failure: { code: 'task.deadline_passed' } });
  expect(pool.cancelled.map((row) => row.attempt)).toEqual([attempt]);
});

test('higher priority goes first, and a project with nothing running goes before a busy one [T3]', async () => {
  pool.set([]);
  const low = await submit({ kind: 'shell', spec: { command: 'low' } });
  const high = await submit({ kind: 'shell', spec: { command: 'high' }, priority: 5 });
  expect([low, high].map((task) => task.state)).toEqual(['pending', 'pending']);
  pool.set([
    {
      id: workers[0] as WorkerId,
      name: 'one',
      state: 'up',
      admission: 'open',
      slots: 1,
      labels: new Set(),
      load: undefined,
      warmProjects: new Set(),
    },
  ]);
  const first = await pool.nextAssigned();
  expect(first.spec.command).toBe('high');
  await report(first.attempt, { exitCode: 0 });
  expect((await pool.nextAssigned()).spec.command).toBe('low');
});

test('a short output that comes with the report of the end needs no stream, and is stored once', async () => {
  const task = await submit({ kind: 'shell', spec: { command: 'echo hi' } });
  const { attempt } = await pool.nextAssigned();
  const inline = { out: Buffer.from('hi\n').toString('base64') };
  const facts = { exitCode: 0, streams: { out: 3, err: 0 }, inline };
  expect(await report(attempt, facts)).toEqual([{ attempt, collect: [], cancel: false, forget: true }]);
  await report(attempt, facts);
  await until(task, 'completed');
  const { rows } = await database.db.query<{ data: Buffer }>('select data from output_chunks');
  expect(rows.map((row) => row.data.toString())).toEqual(['hi\n']);
});

test('an attempt whose output is gone before it could be fetched is lost, and is run again', async () => {
  await submit({ kind: 'shell', spec: { command: 'echo hello' }, policy: { backoffMs: 0 } });
  const first = await pool.nextAssigned();
  await report(first.attempt, { exitCode: 0, streams: { out: 6, err: 0 } });
  const reason = { code: 'job.lost' as const, message: 'its folder is gone' };
  expect(await report(first.attempt, { state: 'lost', reason })).toEqual([
    { attempt: first.attempt, collect: [], cancel: false, forget: true },
  ]);
  expect((await pool.nextAssigned()).attempt).not.toBe(first.attempt);
});
