import { type AttemptId, newId, type UserId, type WorkerId } from '@helixcode/protocol/ids';
import { type TaskSubmissionInput, taskSubmission } from '@helixcode/protocol/task/task-spec';
import type { JobReport } from '@helixcode/protocol/worker/job';
import type { DurableEngine } from '@helixcode/server/engine/durable-engine';
import { openAttemptBook } from '@helixcode/server/tasks/attempt-book';
import { submitTask } from '@helixcode/server/tasks/submit-task';
import { startTaskEngine, type TaskEngine } from '@helixcode/server/tasks/task-engine';
import type { TaskRow } from '@helixcode/server/tasks/task-row';
import { getTask } from '@helixcode/server/tasks/task-sql';
import type { SilenceContext } from '@helixcode/server/tasks/watch-silence';
import { pino } from 'pino';
import type { TestDatabase } from './database.ts';
import { givenRecordingPool, type RecordingPool } from './recording-pool.ts';

/** Tasks over the real database, with workers that do only what the test says in their name. */
export interface GivenTasks {
  pool: RecordingPool;
  engine: TaskEngine;
  context: SilenceContext;
  book: ReturnType<typeof openAttemptBook>;
  workers: [WorkerId, WorkerId];
  submit(input: TaskSubmissionInput): Promise<TaskRow>;
  report(attempt: AttemptId, facts: Partial<JobReport>): ReturnType<ReturnType<typeof openAttemptBook>['takeReports']>;
  /** Resolves when the task is in the state; every commit with events is looked at. */
  until(task: Pick<TaskRow, 'id'>, state: TaskRow['state']): Promise<TaskRow>;
  /** Says that a worker has been out of reach for so long, or is back (0). */
  silence(worker: WorkerId, ms: number): void;
  /** Ends it all, the turns of drivers too. */
  end(): Promise<void>;
}

export async function givenTasks({ db }: TestDatabase): Promise<GivenTasks> {
  await db.query('truncate distributed_tasks, workers, events cascade');
  const pool = givenRecordingPool();
  const workers: [WorkerId, WorkerId] = [newId('worker'), newId('worker')];
  for (const id of workers) await db.query(`insert into workers (id, name, transport, address) values ($1, $1, 'local', '{}')`, [id]);
  const listeners = new Set<() => void>();
  const nameOfWorker = (id: WorkerId): string => (id === workers[0] ? 'one' : 'two');
  const lostAfterMs = 300_000;
  const turns = turnsInProcess(() => engine);
  const engine: TaskEngine = startTaskEngine({
    db,
    serverId: newId('server'),
    pool,
    nameOfWorker,
    lostAfterMs,
    log: pino({ level: 'silent' }),
    outputLimitBytes: 2 ** 20,
    wakeEvents: () => {
      for (const wake of listeners) wake();
    },
    projectFiles: () => Promise.reject(new Error('no project here')),
    engine: Promise.resolve(turns),
  });
  const context: SilenceContext = { ...engine.context, nameOfWorker, lostAfterMs };
  const book = openAttemptBook(context);
  const show = (): void =>
    pool.set(
      workers.map((id) => ({
        id,
        name: nameOfWorker(id),
        state: (pool.silent.get(id) ?? 0) > 0 ? 'suspect' : 'up',
        admission: 'open',
        slots: 4,
        labels: new Set(['linux', 'git']),
        load: undefined,
        warmProjects: new Set(),
      })),
    );
  show();
  return {
    pool,
    engine,
    context,
    book,
    workers,
    submit: (input) => submitTask({ ...context, startDriver: engine.startDriver }, taskSubmission.parse(input), 'usr_test' as UserId),
    report: (attempt, facts) => book.takeReports(workers[0], [{ attempt, state: 'exited', streams: {}, ...facts }]),
    async until(task, state) {
      for (;;) {
        const happened = new Promise<void>((resolve) => listeners.add(resolve));
        const row = await getTask(db, task.id);
        if (row.state === state) return row;
        await happened;
      }
    },
    silence(worker, ms) {
      pool.silent.set(worker, ms);
      show();
    },
    async end() {
      await engine.stop();
      await turns.close();
    },
  };
}

/** Drivers run at once in this process; durability is the engine's own test. */
function turnsInProcess(engine: () => TaskEngine): DurableEngine {
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  async function run(id: string): Promise<void> {
    do again.delete(id);
    while (!(await engine().turn(id)).over && again.has(id));
  }
  const look = (id: string): void => {
    again.add(id);
    if (running.has(id)) return;
    running.set(
      id,
      run(id).finally(() => {
        running.delete(id);
        if (again.has(id)) look(id);
      }),
    );
  };
  return {
    start: async (id) => look(id),
    wake: look,
    cancel: async () => {},
    adopt: async () => 0,
    close: async () => void (await Promise.all(running.values())),
  };
}
