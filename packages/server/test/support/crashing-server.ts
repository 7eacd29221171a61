import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { type AttemptId, newId, type ProjectId, type UserId, type WorkerId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import { type TaskSubmissionInput, taskSubmission } from '@helixcode/protocol/task/task-spec';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import type { DurableEngine } from '@helixcode/server/engine/durable-engine';
import { openAttemptBook } from '@helixcode/server/tasks/attempt-book';
import { type Checkpoints, createCheckpoints } from '@helixcode/server/tasks/checkpoints';
import { submitTask } from '@helixcode/server/tasks/submit-task';
import { startTaskEngine, type TaskEngine } from '@helixcode/server/tasks/task-engine';
import type { TaskRow } from '@helixcode/server/tasks/task-row';
import type { SilenceContext } from '@helixcode/server/tasks/watch-silence';
import type { JobOrder } from '@helixcode/server/workers/job-book';
import type { PoolWorker, WorkerPool } from '@helixcode/server/workers/worker-pool';
import { pino } from 'pino';
import { type CrashableDb, openCrashableDb } from './crashable-db.ts';
import type { TestDatabase } from './database.ts';

export const SLOTS = 2;
export const LOST_AFTER_MS = 300_000;

/** The same through all its lives. */
const serverId = newId('server');

/** A job as its worker has it, whatever becomes of servers. */
export interface FleetJob {
  attempt: AttemptId;
  worker: WorkerId;
  spec: JobSpec;
  report: JobReport;
  output: string;
  /** It was asked to end. */
  isStopping: boolean;
}

/** One life of a server: what of it is in memory is gone with it. */
interface Life {
  crashable: CrashableDb;
  engine: TaskEngine;
  context: SilenceContext;
  book: ReturnType<typeof openAttemptBook>;
  checkpoints: Checkpoints;
  pool: { tellChange(): void };
  turns: DurableEngine & { isIdle(): boolean };
}

/** Two workers and their jobs, which live on, and a server over the real database, which may crash and be started anew. */
export interface CrashingServer {
  readonly workers: [WorkerId, WorkerId];
  readonly project: ProjectId;
  /** Jobs by attempt, in the order in which the workers got them; those that were to be forgotten are not among them. */
  readonly jobs: Map<AttemptId, FleetJob>;
  readonly forgotten: Set<AttemptId>;
  /** Silence in milliseconds; 0 has a link. */
  readonly silent: Map<WorkerId, number>;
  /** What the server found wrong with itself while it lived. */
  readonly complaints: string[];
  readonly life: Life;
  nameOf(worker: WorkerId): string;
  submit(input: TaskSubmissionInput): Promise<TaskRow>;
  /** Lets the job be so, and tells the server if there is a link. */
  report(job: FleetJob, facts: Partial<JobReport>, inline?: boolean): Promise<void>;
  checkpoint(job: FleetJob): Promise<void>;
  silence(worker: WorkerId, ms: number): Promise<void>;
  /** Whatever the server waits for by the clock comes sooner. */
  nudge(): void;
  /** Ends this life if it is not over yet, and begins the next. */
  restart(): Promise<void>;
  end(): Promise<void>;
}

export async function givenCrashingServer({ db, url }: TestDatabase): Promise<CrashingServer> {
  await db.query('truncate distributed_tasks, workers, projects, events cascade');
  const workers: [WorkerId, WorkerId] = [newId('worker'), newId('worker')];
  for (const id of workers) await db.query(`insert into workers (id, name, transport, address) values ($1, $1, 'local', '{}')`, [id]);
  const project = newId('project');
  await db.query(`insert into projects (id, name) values ($1, $1)`, [project]);
  const jobs = new Map<AttemptId, FleetJob>();
  const forgotten = new Set<AttemptId>();
  const silent = new Map<WorkerId, number>();
  const complaints: string[] = [];
  /** What the durable engine has on disk. */
  const drivers = new Set<string>();
  const nameOf = (worker: WorkerId): string => (worker === workers[0] ? 'one' : 'two');
  const isReachable = (worker: WorkerId): boolean => (silent.get(worker) ?? 0) === 0;

  let life = begin();

  function assign(worker: WorkerId, attempt: AttemptId, spec: JobSpec): void {
    if (jobs.has(attempt) || forgotten.has(attempt)) return;
    jobs.set(attempt, {
      attempt,
      worker,
      spec,
      report: { attempt, state: 'preparing', streams: {} },
      output: `${attempt}\n`,
      isStopping: false,
    });
  }

  function begin(): Life {
    const crashable = openCrashableDb(url, db);
    const listeners: (() => void)[] = [];
    const pool: WorkerPool & { tellChange(): void } = {
      workers: () =>
        workers.map(
          (id): PoolWorker => ({
            id,
            name: nameOf(id),
            state: isReachable(id) ? 'up' : 'suspect',
            admission: 'open',
            slots: SLOTS,
            labels: new Set(['linux', 'git', 'tar']),
            load: undefined,
            warmProjects: new Set(),
          }),
        ),
      assign(worker, attempt, spec) {
        if (!crashable.isDead && isReachable(worker)) assign(worker, attempt, spec);
      },
      cancel(worker, attempt) {
        const job = jobs.get(attempt);
        if (job && !crashable.isDead && isReachable(worker)) job.isStopping = true;
      },
      holderOf: () => undefined,
      checkpoint: () => undefined,
      work: () => Promise.reject(new Error('no work in checkouts was expected')),
      silentMs: (worker) => silent.get(worker) ?? 0,
      onChange: (listener) => void listeners.push(listener),
      tellChange() {
        for (const listener of listeners) listener();
      },
    };
    const log = pino(
      { level: 'warn' },
      {
        write(line: string) {
          if (!crashable.isDead) complaints.push(line.trim());
        },
      },
    );
    const turns = turnsThatSurvive(drivers, crashable, () => engine);
    const engine = startTaskEngine({
      db: crashable.db,
      serverId,
      pool,
      log,
      nameOfWorker: nameOf,
      lostAfterMs: LOST_AFTER_MS,
      outputLimitBytes: 2 ** 20,
      wakeEvents: () => {},
      projectFiles: async () => ({ paths: ['src/a'], read: async () => 'a', sizeBytes: () => 1 }),
      engine: Promise.resolve(turns),
    });
    turns.recover();
    const context: SilenceContext = { ...engine.context, nameOfWorker: nameOf, lostAfterMs: LOST_AFTER_MS };
    const refs = {
      keep: async (_project: ProjectId, _task: string, _number: number, _commit: string, bundle: Readable) => void bundle.resume(),
      keepWritten: async () => undefined,
      treeOf: async () => undefined,
      retain: async () => {},
    };
    return {
      crashable,
      engine,
      context,
      book: openAttemptBook(context),
      checkpoints: createCheckpoints({ ...context, refs }),
      pool,
      turns,
    };
  }

  /** What a new link does: compares what the worker has with what is wanted of it. */
  async function greet(worker: WorkerId): Promise<void> {
    const { book } = life;
    const reports: JobReport[] = [...jobs.values()].filter((job) => job.worker === worker).map((job) => job.report);
    const wanted = await book.wantedJobs(worker);
    for (const { attempt, hasStarted, cancelAsked, spec } of wanted) {
      const job = jobs.get(attempt);
      if (job) job.isStopping ||= cancelAsked;
      else if (hasStarted) reports.push({ attempt, state: 'lost', streams: {}, reason: { code: 'job.lost', message: 'nobody knows it' } });
      else if (cancelAsked) reports.push({ attempt, state: 'cancelled', streams: {} });
      else assign(worker, attempt, spec);
    }
    await obey(worker, await book.takeReports(worker, reports));
  }

  async function obey(worker: WorkerId, orders: JobOrder[]): Promise<void> {
    for (const { attempt, forget, cancel, collect } of orders) {
      const job = jobs.get(attempt);
      if (job && cancel) job.isStopping = true;
      if (forget) {
        jobs.delete(attempt);
        forgotten.add(attempt);
      } else if (job && isOver(job.report.state) && collect.length > 0) {
        await life.book.storeOutput(
          collect.map(({ stream, from }) => ({ attempt, stream, offset: from, bytes: Buffer.from(job.output).subarray(from) })),
        );
        await obey(worker, await life.book.takeReports(worker, [job.report]));
      }
    }
  }

  return {
    workers,
    project,
    jobs,
    forgotten,
    silent,
    complaints,
    nameOf,
    get life() {
      return life;
    },
    submit: (input) =>
      submitTask({ ...life.context, startDriver: life.engine.startDriver }, taskSubmission.parse(input), 'usr_test' as UserId),
    async report(job, facts, inline = false) {
      job.report = { ...job.report, ...facts };
      if (!isReachable(job.worker)) return;
      const news = inline ? { ...job.report, inline: { out: Buffer.from(job.output).toString('base64') } } : job.report;
      await obey(job.worker, await life.book.takeReports(job.worker, [news]));
    },
    async checkpoint(job) {
      const header = {
        cause: 'interval',
        commit: createHash('sha1').update(randomUUID()).digest('hex'),
        files: 1,
        bundleBytes: 0,
        tookMs: 1,
        leftOut: [],
        leftOutCount: 0,
      };
      await life.checkpoints.storeCheckpoint(
        job.attempt,
        job.worker,
        Readable.from([Buffer.from(`${JSON.stringify(header)}\n`)], { objectMode: false }),
      );
    },
    async silence(worker, ms) {
      silent.set(worker, ms);
      if (ms === 0) await greet(worker);
      life.pool.tellChange();
    },
    nudge: () => life.pool.tellChange(),
    async restart() {
      await endLife(life);
      life = begin();
      for (const worker of workers) if (isReachable(worker)) await greet(worker);
    },
    end: () => endLife(life),
  };
}

async function endLife({ crashable, engine }: Life): Promise<void> {
  await crashable.die();
  await engine.stop();
}

/** Drivers run in this process; which there are outlives it, as it does in the durable engine's tables. */
function turnsThatSurvive(
  drivers: Set<string>,
  crashable: CrashableDb,
  engine: () => TaskEngine,
): DurableEngine & { isIdle(): boolean; recover(): void } {
  const running = new Set<string>();
  const again = new Set<string>();
  async function run(id: string): Promise<void> {
    while (again.delete(id) && !crashable.isDead) {
      const turn = await engine()
        .turn(id)
        .catch((error: unknown) => {
          if (!crashable.isDead) throw error;
          return { over: false, lookAgainMs: LOST_AFTER_MS } as const;
        });
      if (turn.over) {
        drivers.delete(id);
        return;
      }
      setTimeout(look, turn.lookAgainMs, id).unref();
    }
  }
  const look = (id: string): void => {
    if (crashable.isDead || !drivers.has(id)) return;
    again.add(id);
    if (running.has(id)) return;
    running.add(id);
    void run(id).finally(() => {
      running.delete(id);
      if (again.has(id)) look(id);
    });
  };
  return {
    async start(id) {
      if (crashable.isDead) return;
      drivers.add(id);
      look(id);
    },
    wake: look,
    cancel: async () => {},
    adopt: async () => 0,
    close: async () => {},
    isIdle: () => running.size === 0,
    recover: () => drivers.forEach(look),
  };
}

/** Whether it is the crash that kept a command from its answer. */
export function isCrash(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'database.unavailable';
}
