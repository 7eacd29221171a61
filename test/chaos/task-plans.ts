import type { RECONCILE_POLICIES, TaskPolicy, TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import type { Chance } from './chance.ts';
import { ROOMY, TIGHT } from './chaos-workers.ts';
import { countingCommand } from './counting-job.ts';
import { BAD_SPEC, GOOD_SPECS } from './sample-files.ts';

/** Where the code of the load is, and where its jobs write down what they did. */
export interface Sources {
  project: string;
  commit: string;
  /** File to which jobs append what they did. */
  effects: string;
}

/** How a task must end, whatever happens to what it runs on. */
export type Expected =
  | 'completes'
  | 'fails'
  /** It must not run twice, so that it is lost with what it ran on. */
  | 'completes or is lost'
  /** Whatever was quicker; cancelled where the server said so. */
  | 'completes or is cancelled';

/** A task as it will be handed in, and what is known beforehand of its end. */
export interface TaskPlan {
  /** Unique: by it a task is found whose handing in nobody answered. */
  name: string;
  submission: TaskSubmissionInput;
  expected: Expected;
  /** How far each of its jobs counts, where all count equally far. */
  lines?: number;
  /** Exit status of its jobs, where all have the same. */
  exitCode?: number;
  /** Jobs that it has in the end, where that is known. */
  leaves?: number;
  /** Of a suite. */
  totals?: { units: number; passed: number; failed: number };
  /** Of a build: what the archive of a target must hold. */
  artifact?: { target: string; text: string };
  /** It is cancelled so long after it was handed in. */
  cancelAfterMs?: number;
}

type Policy = Partial<Omit<TaskPolicy, 'checkpoint'>> & { checkpoint?: { everyMs: number } };

const RECONCILES: readonly (typeof RECONCILE_POLICIES)[number][] = ['first_done', 'keep_original', 'keep_replacement'];
/** Never given up because of what happens around it: then its end is known beforehand. */
const HOWEVER_OFTEN = 100;
const SHORT_LINES: readonly [number, number] = [10, 40];
const LONG_LINES: readonly [number, number] = [60, 150];

/** Draws the next task of the load. */
export function planTask(name: string, chance: Chance, sources: Sources): TaskPlan {
  const make = chance.pick([
    plain,
    plain,
    failing,
    together,
    together,
    resumable,
    resumable,
    resumable,
    critical,
    critical,
    once,
    cancelled,
    build,
    build,
    suite,
    tight,
  ]);
  const plan = make(chance, sources);
  return { name, ...plan, submission: { requires: [ROOMY], ...plan.submission, name } };
}

type Draw = (chance: Chance, sources: Sources) => Omit<TaskPlan, 'name'>;

const anyPolicy = (chance: Chance): Policy => ({
  replaceLost: HOWEVER_OFTEN,
  backoffMs: 20,
  lostAfterMs: chance.between(1_500, 4_000),
  reconcile: chance.pick(RECONCILES),
});

const plain: Draw = (chance, { effects }) => {
  const lines = chance.between(...(chance.is(0.3) ? LONG_LINES : SHORT_LINES));
  const command = countingCommand({ effects, lines, exitCode: 0 });
  return {
    submission: { kind: 'shell', spec: { command }, policy: anyPolicy(chance) },
    expected: 'completes',
    lines,
    exitCode: 0,
    leaves: 1,
  };
};

/** Its command fails each time it is tried. */
const failing: Draw = (chance, { effects }) => {
  const lines = chance.between(...SHORT_LINES);
  const command = countingCommand({ effects, lines, exitCode: 3 });
  const policy = { ...anyPolicy(chance), maxAttempts: chance.between(1, 3) };
  return { submission: { kind: 'shell', spec: { command }, policy }, expected: 'fails', lines, exitCode: 3, leaves: 1 };
};

/** The same command for several items, in a checkout. */
const together: Draw = (chance, { effects, ...code }) => {
  const lines = chance.between(...SHORT_LINES);
  const each = Array.from({ length: chance.between(2, 5) }, (_, index) => `item ${index}`);
  const command = countingCommand({ effects, lines, exitCode: 0 });
  const spec = { command, each, ...(chance.is(0.5) && code) };
  return { submission: { kind: 'shell', spec, policy: anyPolicy(chance) }, expected: 'completes', lines, exitCode: 0, leaves: each.length };
};

/** Goes on from its newest checkpoint. */
const resumable: Draw = (chance, { effects, ...code }) => {
  const lines = chance.between(...LONG_LINES);
  const command = countingCommand({ effects, lines, exitCode: 0, isResumable: true });
  const policy = { ...anyPolicy(chance), checkpoint: { everyMs: chance.between(300, 1_000) } };
  return { submission: { kind: 'shell', spec: { command, ...code }, policy }, expected: 'completes', lines, exitCode: 0, leaves: 1 };
};

/** While a worker of one part is away, the others wait. */
const critical: Draw = (chance, { effects, ...code }) => {
  const lines = chance.between(20, 60);
  const each = Array.from({ length: chance.between(2, 4) }, (_, index) => `part ${index}`);
  const command = countingCommand({ effects, lines, exitCode: 0, isResumable: true });
  const policy = { ...anyPolicy(chance), critical: true, checkpoint: { everyMs: 500 }, graceMs: chance.between(3_000, 8_000) };
  return {
    submission: { kind: 'shell', spec: { command, each, ...code }, policy },
    expected: 'completes',
    lines,
    exitCode: 0,
    leaves: each.length,
  };
};

/** A command that must not run twice. */
const once: Draw = (chance, { effects }) => {
  const lines = chance.between(...SHORT_LINES);
  const command = countingCommand({ effects, lines, exitCode: 0 });
  const policy = { ...anyPolicy(chance), replaceLost: 0 };
  return {
    submission: { kind: 'shell', spec: { command }, policy },
    expected: 'completes or is lost',
    lines,
    exitCode: 0,
    leaves: 1,
  };
};

const cancelled: Draw = (chance, sources) => ({
  ...together(chance, sources),
  expected: 'completes or is cancelled',
  cancelAfterMs: chance.between(0, 3_000),
});

/** Targets that need each other. */
const build: Draw = (chance, { effects, ...code }) => {
  const lines = chance.between(5, 20);
  // Most are new to the cache of builds, some are there already.
  const env = { SALT: String(chance.between(1, 200)) };
  const target = (name: string, work: string, output: string, needs: string[] = []) => ({
    name,
    command: countingCommand({ effects, lines, exitCode: 0, work }),
    inputs: ['src/**', 'docs/**'],
    outputs: [output],
    needs,
    env,
  });
  const targets = [
    target('lib', 'mkdir -p dist && { tr a-z A-Z <src/lib.txt; echo "$SALT"; } >dist/lib.txt', 'dist/lib.txt'),
    target('page', 'mkdir -p site && cp docs/page.txt site/page.txt', 'site/page.txt'),
    target('app', 'mkdir -p dist && cat dist/lib.txt src/app.txt >dist/app.txt', 'dist/app.txt', ['lib']),
    target('all', 'mkdir -p dist && cat dist/app.txt site/page.txt >dist/all.txt', 'dist/all.txt', ['app', 'page']),
  ];
  return {
    submission: { kind: 'build', spec: { ...code, targets }, policy: anyPolicy(chance) },
    expected: 'completes',
    lines,
    exitCode: 0,
    leaves: targets.length,
    artifact: { target: 'all', text: `LIB\n${env.SALT}\napp\npage\n` },
  };
};

/** A suite, half of the time with a test that fails. */
const suite: Draw = (chance, code) => {
  const isGood = chance.is(0.5);
  const { project, commit } = code;
  const units = isGood ? GOOD_SPECS : [...GOOD_SPECS, BAD_SPEC];
  return {
    submission: {
      kind: 'test',
      spec: {
        project,
        commit,
        runner: 'junit',
        junit: { command: 'sh ./run-specs.sh {files}', files: ['spec/**/*.x'], junit: 'out/*.xml' },
        patterns: isGood ? ['spec/good'] : [],
        setup: null,
        retryFailures: false,
      },
      policy: anyPolicy(chance),
    },
    expected: isGood ? 'completes' : 'fails',
    totals: { units: units.length, passed: GOOD_SPECS.length, failed: units.length - GOOD_SPECS.length },
  };
};

/** On a disk that is full at times; what could not write tries again. */
const tight: Draw = (chance, { effects }) => {
  const lines = chance.between(...SHORT_LINES);
  const command = countingCommand({ effects, lines, exitCode: 0 });
  const policy = { ...anyPolicy(chance), maxAttempts: HOWEVER_OFTEN, backoffMs: 200 };
  return { submission: { kind: 'shell', spec: { command }, policy, requires: [TIGHT] }, expected: 'completes', lines, leaves: 1 };
};
