import { z } from 'zod';

/** A folder of the tree at one commit of a registered project. */
const source = {
  project: z.string().describe('Id or name of a registered project'),
  commit: z
    .string()
    .regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/)
    .describe('Full commit hash the server already holds'),
};

/** The command that makes a fresh checkout ready, e.g. `npm ci`; its outputs are cached by the files it depends on. */
export const setupCommand = z.strictObject({
  command: z.string().min(1).describe('Shell command, run in the checkout'),
  inputs: z.array(z.string()).describe('Tracked files whose content decides the outcome, e.g. package-lock.json'),
  timeoutMs: z.number().int().positive().default(900_000),
});
export type SetupCommand = z.infer<typeof setupCommand>;

export const shellSpec = z.strictObject({
  command: z.string().min(1).describe('Program for /bin/sh'),
  env: z.record(z.string(), z.string()).default({}),
  each: z.array(z.string()).min(1).max(100_000).optional().describe('One subtask per item; the command reads it from $HELIX_ITEM'),
  cwd: z.string().optional().describe('Folder to start in, relative to the checkout'),
  project: source.project.optional(),
  commit: source.commit.optional(),
  setup: setupCommand.optional(),
  timeoutMs: z.number().int().positive().optional().describe('Wall time of the command in milliseconds'),
});
export type ShellSpec = z.infer<typeof shellSpec>;

export const buildSpec = z.strictObject({
  ...source,
  targets: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        command: z.string().min(1),
        inputs: z.array(z.string()).min(1).describe('Globs of tracked files that decide the outcome'),
        outputs: z.array(z.string()).min(1).describe('Globs of files the command leaves'),
        needs: z.array(z.string()).default([]).describe('Targets whose outputs must be in place first'),
        requires: z.array(z.string()).default([]).describe('Capabilities of the worker'),
        env: z.record(z.string(), z.string()).default({}),
      }),
    )
    .min(1),
  setup: setupCommand.optional(),
  timeoutMs: z.number().int().positive().optional(),
});
export type BuildSpec = z.infer<typeof buildSpec>;

export const TEST_RUNNERS = ['vitest', 'jest', 'mocha', 'node-test', 'pytest', 'go-test', 'cargo-test', 'junit'] as const;

/** Any command that runs the named files and writes JUnit XML. */
export const junitCommand = z.strictObject({
  command: z.string().includes('{files}').describe('Shell command; {files} becomes the quoted file names'),
  files: z.array(z.string()).min(1).describe('Globs of test files'),
  junit: z.string().describe('Glob of the XML files it writes, relative to the checkout'),
});

export const testSpec = z.strictObject({
  ...source,
  runner: z.enum(TEST_RUNNERS).optional().describe('Found from the tree when absent'),
  junit: junitCommand.optional(),
  patterns: z.array(z.string()).default([]).describe('Only units whose path contains one of these'),
  args: z.array(z.string()).default([]).describe('Passed to the runner as they are'),
  env: z.record(z.string(), z.string()).default({}),
  setup: setupCommand.nullable().optional().describe('Found from the lock file when absent; null for none'),
  coverage: z.boolean().default(false),
  maxSlots: z.number().int().positive().optional().describe('Use at most this many slots of the pool'),
  unitTimeoutMs: z.number().int().positive().default(300_000).describe('Longest a single unit may run'),
  retryFailures: z.boolean().default(true).describe('Run failed units once more, to name flaky tests'),
});
export type TestSpec = z.infer<typeof testSpec>;

/** What an agent is asked to do; its session has the conversation. */
export const agentSpec = z.strictObject({
  ...source,
  session: z.string(),
  goal: z.string().min(1),
  mode: z.enum(['work', 'plan']),
  setup: setupCommand.nullable().optional().describe('Found from the lock file when absent; null for none'),
  /** Commands that must pass at the final files before it counts as done. `helix test`: the whole suite, divided over the pool. */
  verify: z.array(z.string().min(1)).max(20),
  /** How the suite is run, where it is. */
  test: testSpec.pick({ runner: true, junit: true, args: true, env: true, unitTimeoutMs: true }).partial().optional(),
});
export type AgentSpec = z.infer<typeof agentSpec>;

export const TASK_KINDS = ['shell', 'build', 'test', 'agent'] as const;
export type TaskKindName = (typeof TASK_KINDS)[number];
/** Those that are handed in as tasks; an agent's begins with its session. */
export type DividedKind = Exclude<TaskKindName, 'agent'>;

/** How snapshots of a leaf's checkout are taken and kept. */
export const checkpointPolicy = z.strictObject({
  everyMs: z.number().int().min(100).optional().describe('Milliseconds between automatic ones; only at a bad end when absent'),
  keep: z.number().int().min(1).max(1_000).default(10).describe('Automatic ones kept of a task; the oldest go'),
  maxFileBytes: z
    .number()
    .int()
    .positive()
    .default(10 * 1024 * 1024)
    .describe('A larger file is left out, and named'),
  maxBytes: z
    .number()
    .int()
    .positive()
    .default(64 * 1024 * 1024)
    .describe('All recorded files together; the smallest go in first'),
  maxMs: z.number().int().positive().default(30_000).describe('A snapshot that takes longer is given up'),
});
export type CheckpointPolicy = z.infer<typeof checkpointPolicy>;

export const RECONCILE_POLICIES = ['keep_original', 'keep_replacement', 'first_done'] as const;

/** What happens when the worker of a running attempt falls silent, and how often a failure is tried again. */
export const taskPolicy = z.strictObject({
  /** Tries in all, the first one included, while the command itself fails. */
  maxAttempts: z.number().int().min(1).max(100).default(1),
  /** How often it is started again elsewhere after a worker lost it or could not start it; 0: it must not run twice. */
  replaceLost: z.number().int().min(0).max(100).default(2),
  /** Pause before try n+1: `backoffMs × 2^(n−1)`, at most ten minutes, ± 20 %. */
  backoffMs: z.number().int().nonnegative().default(1_000),
  /** Automatic checkpoints of a leaf with a checkout; without it there are only those somebody asks for. */
  checkpoint: checkpointPolicy.optional(),
  /** How long its worker may be silent before it starts elsewhere; the pool's `workers.lostAfterMs` when absent. */
  lostAfterMs: z.number().int().positive().optional(),
  /** Whether silence alone is a reason to start it elsewhere; `false` waits for the worker, however long. */
  replace: z.boolean().default(true),
  /** Which of two counts when the first comes back after it was replaced. Never both. */
  reconcile: z.enum(RECONCILE_POLICIES).default('first_done'),
  /** The worker itself stops the job after so long without the server, so that two never run at once. */
  stopOnWorkerAfterMs: z.number().int().positive().optional(),
  /** While its worker is away the rest of its tree is paused, and it is not replaced. */
  critical: z.boolean().default(false),
  /** Of a critical one: after so long it starts elsewhere all the same, and the tree goes on. */
  graceMs: z.number().int().positive().optional(),
});
export type TaskPolicy = z.infer<typeof taskPolicy>;

const common = {
  name: z.string().max(200).optional().describe('One line for people; made from the spec when absent'),
  priority: z.number().int().min(-100).max(100).default(0).describe('Higher goes first'),
  requires: z.array(z.string()).default([]).describe('Capability labels the worker must have'),
  worker: z.string().optional().describe('Only this worker (id or name)'),
  deadlineMs: z.number().int().positive().optional().describe('Milliseconds from now until it is given up'),
  policy: taskPolicy.prefault({}),
};

export const taskSubmission = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('shell'), spec: shellSpec, ...common }),
  z.strictObject({ kind: z.literal('build'), spec: buildSpec, ...common }),
  z.strictObject({ kind: z.literal('test'), spec: testSpec, ...common }),
]);
export type TaskSubmission = z.infer<typeof taskSubmission>;
/** As a client writes it: what has a default may be left out. */
export type TaskSubmissionInput = z.input<typeof taskSubmission>;
