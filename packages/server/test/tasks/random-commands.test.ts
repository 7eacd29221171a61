import { CodedError } from '@helixcode/protocol/errors';
import type { AttemptId, TaskId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { cancelTask } from '@helixcode/server/tasks/cancel-task';
import { resumeTask } from '@helixcode/server/tasks/resume-task';
import { retryTask } from '@helixcode/server/tasks/retry-task';
import { rollbackTask } from '@helixcode/server/tasks/rollback-task';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CrashingServer, type FleetJob, givenCrashingServer, isCrash, LOST_AFTER_MS, SLOTS } from '../support/crashing-server.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type Books, faultsIn, readBooks, workDue } from '../support/task-invariants.ts';

/** Another seed is another walk; the one that failed is in the message. */
const seed = Number(process.env.HELIX_RANDOM_SEED ?? 20_261);
const seconds = Number(process.env.HELIX_RANDOM_SECONDS ?? 15);
const STUCK_AFTER_MS = 20_000;
const RESULT_BLOB = 'b'.repeat(64);

let database: TestDatabase;
beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

/** What the person at the commands knows: enough to ask for what may make sense. */
interface Model {
  submitted: number;
  isSilent: [boolean, boolean];
  isArmed: boolean;
}

interface World {
  server: CrashingServer;
  /** Submissions that were answered. */
  accepted: Set<TaskId>;
  /** What was done and what it met, for whoever has to understand a failure. */
  story: string[];
  /** Outcomes as they were first seen, by task and how often it was retried. */
  outcomes: Map<string, string>;
}

type Act = (world: World) => Promise<string>;

/** One thing that somebody asks for or that happens to a worker or the server. */
interface Deed {
  name: string;
  act: Act;
  check?: (model: Readonly<Model>) => boolean;
  change?: (model: Model) => void;
}

/**
 * One deed, or two at the same time. After half of the commands the server is given the time to do what follows, so that the
 * next one meets it at rest.
 */
class Command implements fc.AsyncCommand<Model, World> {
  readonly #deeds: Deed[];
  readonly #isHurried: boolean;

  constructor(deeds: Deed[], isHurried: boolean) {
    this.#deeds = deeds;
    this.#isHurried = isHurried;
  }

  check(model: Readonly<Model>): boolean {
    return this.#deeds.every((deed) => deed.check?.(model) ?? true);
  }

  async run(model: Model, world: World): Promise<void> {
    for (const deed of this.#deeds) deed.change?.(model);
    const done = await Promise.allSettled(this.#deeds.map((deed) => deed.act(world)));
    done.forEach((end, index) => {
      const name = `${index > 0 ? 'and meanwhile ' : ''}${this.#deeds[index]?.name}`;
      if (end.status === 'fulfilled') world.story.push(`${name} → ${end.value}`);
      else if (isCrash(end.reason)) world.story.push(`${name} → no answer`);
      else throw new Error(`${name} failed: ${String(end.reason)}`, { cause: end.reason });
    });
    if (world.server.life.crashable.isDead) {
      world.story.push('the server crashed and was started anew');
      await world.server.restart();
      model.isArmed = false;
    }
    if (!this.#isHurried) await settle(world);
  }

  toString(): string {
    return `${this.#deeds.map((deed) => deed.name).join(' and meanwhile ')}${this.#isHurried ? ' at once' : ''}`;
  }
}

/** Commands that come too late or too early are refused: that is an answer, too. */
const REFUSALS: ReadonlySet<string> = new Set(['task.move_refused', 'checkpoint.refused', 'checkpoint.not_found']);

async function settle(world: World): Promise<void> {
  const { server } = world;
  const lateMs = performance.now() + STUCK_AFTER_MS;
  for (;;) {
    if (server.life.crashable.isDead) await server.restart();
    const isIdle = server.life.turns.isIdle();
    const books = await readBooks(database.db);
    check(world, books);
    const due = workDue(books, new Map(server.workers.map((id) => [id, server.silent.get(id) ?? 0])), SLOTS, LOST_AFTER_MS);
    if (due.length === 0 && isIdle) return;
    if (performance.now() > lateMs) throw new Error(`stuck: ${due.join('; ') || 'a driver does not come to rest'}`);
    server.nudge();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function check(world: World, books: Books): void {
  const faults = [...faultsIn(books), ...world.server.complaints];
  const ids = new Set(books.tasks.map((task) => task.id));
  for (const id of world.accepted) if (!ids.has(id)) faults.push(`${id} was accepted and is gone`);
  for (const attempt of books.attempts)
    if (world.server.forgotten.has(attempt.id) && !attempt.is_complete)
      faults.push(`attempt ${attempt.number} of ${attempt.task_id} was forgotten by its worker and is ${attempt.state} here`);
  for (const task of books.tasks) {
    if (!isSettled(task.state)) continue;
    const retries = books.moves.filter(
      ({ task_id, body }) => task_id === task.id && body.type === 'task.moved' && isSettled(body.from),
    ).length;
    const key = `${task.id} ${retries}`;
    const outcome = `${task.state} ${task.is_leaf && task.kind === 'shell' ? JSON.stringify(task.result) : ''}`;
    const first = world.outcomes.get(key) ?? outcome;
    world.outcomes.set(key, first);
    if (first !== outcome) faults.push(`${task.name} was ${first} and is ${outcome}`);
  }
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

/** All workers come back and all jobs end well: then every task has its outcome, and nothing runs on. */
async function finish(world: World): Promise<void> {
  const { server } = world;
  server.life.crashable.dieAfter(Number.POSITIVE_INFINITY);
  if (server.life.crashable.isDead) await server.restart();
  for (const worker of server.workers) await server.silence(worker, 0);
  for (let round = 0; ; round++) {
    await settle(world);
    const { tasks, attempts } = await readBooks(database.db);
    for (const job of server.jobs.values()) {
      const attempt = attempts.find(({ id }) => id === job.attempt);
      const task = tasks.find(({ id }) => id === attempt?.task_id);
      if (task && isSettled(task.state) && !job.isStopping && !isOver(job.report.state))
        throw new Error(`attempt ${attempt?.number} of ${task.name} runs on, though that is ${task.state}`);
    }
    if (server.jobs.size === 0) {
      const open = tasks.filter((task) => !isSettled(task.state)).map((task) => `${task.name} is ${task.state}`);
      if (open.length > 0) throw new Error(`nothing runs any more, and ${open.join(', ')}`);
      return;
    }
    if (round > 50) throw new Error('it does not come to an end');
    for (const job of [...server.jobs.values()])
      await (job.isStopping && !isOver(job.report.state) ? stop(world, job) : exit(world, job, 0, 'stream'));
  }
}

type Output = 'none' | 'inline' | 'stream';

function exit({ server }: World, job: FleetJob, exitCode: number, output: Output): Promise<void> {
  if (isOver(job.report.state)) return server.report(job, {});
  const streams = { out: output === 'none' ? 0 : job.output.length, err: 0 };
  const outputsBlob = exitCode === 0 && job.spec.outputs ? { outputsBlob: RESULT_BLOB } : {};
  return server.report(job, { state: 'exited', exitCode, streams, ...outputsBlob }, output === 'inline');
}

function stop({ server }: World, job: FleetJob): Promise<void> {
  return server.report(job, { state: 'cancelled', streams: { out: 0, err: 0 } });
}

/** Runs `act` on one of the jobs that are under way. */
function withJob(pick: number, act: (world: World, job: FleetJob) => Promise<unknown>, fits: (job: FleetJob) => boolean = () => true): Act {
  return async (world) => {
    const jobs = [...world.server.jobs.values()].filter((job) => !isOver(job.report.state) && fits(job));
    const job = jobs[pick % Math.max(1, jobs.length)];
    if (!job) return 'there is none';
    const name = await nameOfAttempt(job.attempt);
    const about = `${name} on ${world.server.nameOf(job.worker)}`;
    return act(world, job).then(
      () => about,
      (cause: unknown) => {
        if (cause instanceof CodedError && REFUSALS.has(cause.code)) return `${about}: refused`;
        throw cause;
      },
    );
  };
}

function withTask(pick: number, isRoot: boolean, act: (world: World, task: TaskId) => Promise<unknown>): Act {
  return async (world) => {
    const { tasks } = await readBooks(database.db);
    const some = tasks.filter((task) => !isRoot || task.parent_id === null);
    const task = some[pick % Math.max(1, some.length)];
    if (!task) return 'there is none';
    const about = `${task.name}, which was ${task.state}`;
    return act(world, task.id).then(
      () => about,
      (cause: unknown) => {
        if (cause instanceof CodedError && REFUSALS.has(cause.code)) return `${about}: refused`;
        throw cause;
      },
    );
  };
}

async function nameOfAttempt(id: AttemptId): Promise<string> {
  const { rows } = await database.db.query<{ name: string }>(
    `select t.name || ' attempt ' || a.number as name from task_attempts a join distributed_tasks t on t.id = a.task_id where a.id = $1`,
    [id],
  );
  return rows[0]?.name ?? id;
}

const pick = fc.nat(11);
const hurried = fc.boolean();
const policy: fc.Arbitrary<NonNullable<TaskSubmissionInput['policy']>> = fc
  .record(
    {
      maxAttempts: fc.constantFrom(1, 2),
      replaceLost: fc.constantFrom(0, 1, 2),
      reconcile: fc.constantFrom('first_done' as const, 'keep_original' as const, 'keep_replacement' as const),
      replace: fc.constant(false),
      critical: fc.constant(true),
      graceMs: fc.constant(30_000),
      checkpoint: fc.constant({}),
      lostAfterMs: fc.constant(10_000),
    },
    { requiredKeys: [] },
  )
  .map((some) => ({ ...some, backoffMs: 0 }));

const work = fc.constantFrom('one', 'one', 'in a checkout', 'two', 'three', 'build');

function submission(kind: string, policy: TaskSubmissionInput['policy'], number: number, project: string): TaskSubmissionInput {
  const common = { name: `t${number}`, policy };
  const source = { project, commit: 'c'.repeat(40) };
  if (kind === 'build')
    return {
      ...common,
      kind: 'build',
      spec: {
        ...source,
        targets: ['lib', 'app', 'docs'].map((name) => ({
          name,
          command: `make ${name}`,
          inputs: ['src/*'],
          outputs: [`${name}/*`],
          needs: name === 'lib' ? [] : ['lib'],
        })),
      },
    };
  const each = kind === 'two' ? ['a', 'b'] : ['a', 'b', 'c'];
  if (kind === 'one') return { ...common, kind: 'shell', spec: { command: 'work' } };
  if (kind === 'in a checkout') return { ...common, kind: 'shell', spec: { ...source, command: 'work' } };
  return { ...common, kind: 'shell', spec: { ...source, command: 'work', each } };
}

const aModel = (): Model => ({ submitted: 0, isSilent: [false, false], isArmed: false });
const hasTasks = (model: Readonly<Model>): boolean => model.submitted > 0;
const which = fc.constantFrom(0 as const, 1 as const);
const isPreparing = (job: FleetJob): boolean => job.report.state === 'preparing';

const submit = fc.tuple(work, policy).map(
  ([kind, policy]): Deed => ({
    name: `submit ${kind} ${JSON.stringify(policy)}`,
    async act({ server, accepted }) {
      const { rows } = await database.db.query<{ count: number }>(
        'select count(*)::int as count from distributed_tasks where parent_id is null',
      );
      const task = await server.submit(submission(kind, policy, (rows[0]?.count ?? 0) + 1, server.project));
      accepted.add(task.id);
      return task.name;
    },
    check: (model) => model.submitted < 6,
    change: (model) => void (model.submitted += 1),
  }),
);

/** What a worker does with a job, or says of it. */
const ofWorkers: fc.Arbitrary<Deed>[] = [
  pick.map((pick) => ({
    name: 'begin',
    act: withJob(pick, ({ server }, job) => server.report(job, { state: 'running' }), isPreparing),
    check: hasTasks,
  })),
  fc.tuple(pick, fc.constantFrom(0, 0, 1, 7), fc.constantFrom<Output>('none', 'inline', 'stream')).map(([pick, code, output]) => ({
    name: `exit ${code} with output ${output}`,
    act: withJob(pick, (world, job) => exit(world, job, code, output)),
    check: hasTasks,
  })),
  pick.map((pick) => ({
    name: 'lose',
    act: withJob(pick, ({ server }, job) =>
      server.report(job, { state: 'lost', reason: { code: 'job.lost', message: 'its supervisor is gone' } }),
    ),
    check: hasTasks,
  })),
  pick.map((pick) => ({
    name: 'give back',
    act: withJob(
      pick,
      ({ server }, job) => server.report(job, { state: 'refused', reason: { code: 'job.recalled', message: 'no slot' } }),
      isPreparing,
    ),
    check: hasTasks,
  })),
  pick.map((pick) => ({ name: 'stop as asked', act: withJob(pick, stop, (job) => job.isStopping), check: hasTasks })),
  pick.map((pick) => ({
    name: 'checkpoint',
    act: withJob(
      pick,
      ({ server }, job) => server.checkpoint(job),
      (job) => job.spec.workspace !== undefined && job.report.state === 'running',
    ),
    check: hasTasks,
  })),
];

/** What a person asks for. */
const ofPeople: fc.Arbitrary<Deed>[] = [
  fc.tuple(pick, fc.boolean()).map(([pick, isRoot]) => ({
    name: 'cancel',
    act: withTask(pick, isRoot, ({ server }, task) => cancelTask(server.life.context, task)),
    check: hasTasks,
  })),
  pick.map((pick) => ({
    name: 'retry',
    act: withTask(pick, true, ({ server: { life } }, task) => retryTask({ ...life.context, startDriver: life.engine.startDriver }, task)),
    check: hasTasks,
  })),
  fc.tuple(pick, fc.constantFrom(0, 1)).map(([pick, to]) => ({
    name: `roll back to ${to}`,
    act: withTask(pick, false, ({ server }, task) => rollbackTask(server.life.context, task, to)),
    check: hasTasks,
  })),
  fc.tuple(pick, fc.boolean()).map(([pick, elsewhere]) => ({
    name: `resume${elsewhere ? ' elsewhere' : ''}`,
    act: withTask(pick, true, ({ server }, task) => resumeTask(server.life.context, task, elsewhere)),
    check: (model: Readonly<Model>) => hasTasks(model) && model.isSilent.includes(true),
  })),
];

/** What befalls machines. */
const ofFate: fc.Arbitrary<Deed>[] = [
  fc.tuple(which, fc.constantFrom(5_000, 40_000, 400_000)).map(([which, ms]) => ({
    name: `silence of ${ms / 1_000} s`,
    async act({ server }: World) {
      await server.silence(server.workers[which], ms);
      return server.nameOf(server.workers[which]);
    },
    check: hasTasks,
    change: (model: Model) => void (model.isSilent[which] = true),
  })),
  which.map((which) => ({
    name: 'return',
    async act({ server }: World) {
      await server.silence(server.workers[which], 0);
      return server.nameOf(server.workers[which]);
    },
    check: (model: Readonly<Model>) => model.isSilent[which],
    change: (model: Model) => void (model.isSilent[which] = false),
  })),
  fc.integer({ min: 0, max: 40 }).map((steps) => ({
    name: `crash ${steps} statements from now`,
    async act({ server }: World) {
      server.life.crashable.dieAfter(steps);
      if (steps === 0) await server.life.crashable.die();
      return 'so be it';
    },
    check: (model: Readonly<Model>) => hasTasks(model) && !model.isArmed,
    change: (model: Model) => void (model.isArmed = true),
  })),
];

const commands = [
  ...[submit, ...ofWorkers, ...ofPeople, ...ofFate].map((deeds) =>
    fc.tuple(deeds, hurried).map(([deed, isHurried]) => new Command([deed], isHurried)),
  ),
  fc.tuple(fc.oneof(...ofWorkers), fc.oneof(...ofPeople), hurried).map(([one, other, isHurried]) => new Command([one, other], isHurried)),
];

test(
  `whatever is asked, whatever ends or falls silent, and wherever the server crashes, each task goes by its table to one outcome (seed ${seed}) [T8] [T5] [T6]`,
  async () => {
    let runs = 0;
    let walked = 0;
    let underWay = Promise.resolve();
    const goOn = async (walk: Iterable<fc.AsyncCommand<Model, World>>): Promise<void> => {
      const world: World = { server: await givenCrashingServer(database), accepted: new Set(), story: [], outcomes: new Map() };
      try {
        await fc.asyncModelRun(() => ({ model: aModel(), real: world }), walk);
        await finish(world);
        runs += 1;
        walked += world.story.length;
      } catch (cause) {
        throw new Error([cause instanceof Error ? cause.message : cause, 'What happened:', ...world.story].join('\n'), { cause });
      } finally {
        await world.server.end();
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size: 'max' }), (walk) => {
        underWay = goOn(walk);
        return underWay;
      }),
      { seed, numRuns: 10_000, interruptAfterTimeLimit: seconds * 1_000, markInterruptAsFailure: false, endOnFailure: false },
    );
    // The time is up in the middle of a walk, which is not waited for there.
    await underWay;
    console.info(`${runs} walks with ${walked} commands in ${seconds} s, seed ${seed}`);
    expect(runs).toBeGreaterThan(0);
  },
  (seconds + 60) * 1_000,
);
