import { z } from 'zod';
import { agentSpec, junitCommand, setupCommand, TEST_RUNNERS } from '../task/task-spec.ts';
import { agentConfig } from './agent-config.ts';
import { providersConfig } from './providers-config.ts';

const port = z.number().int().min(0).max(65_535);
/** A hundred years are for ever; more is a slip of the unit. */
const days = z.number().min(0).max(36_500);
const bytes = z.number().int().min(0);
const GIB = 2 ** 30;

export const workerName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
  .describe('Unique among the workers');

/** A machine reached by ssh, or one more daemon on the server's own machine. */
export const workerConfig = z.strictObject({
  name: workerName,
  transport: z.enum(['ssh', 'local']).default('ssh'),
  host: z.string().min(1).optional().describe('Name, address, or a Host of your ~/.ssh/config'),
  port: port.optional(),
  user: z.string().min(1).optional(),
  identityFile: z.string().optional().describe('Private key file on the server'),
  passwordEnv: z.string().optional().describe('Environment variable of the server that holds the password'),
  knownHostsFile: z.string().optional().describe('A known_hosts file whose keys are trusted for this worker'),
  slots: z.number().int().min(1).max(1024).optional().describe('Jobs at once; its number of cores when absent'),
  labels: z.array(z.string()).default([]).describe('Capabilities you vouch for, beside the detected ones'),
  folder: z.string().optional().describe('Folder on the worker; ~/.helix-worker when absent'),
});
export type WorkerConfig = z.infer<typeof workerConfig>;

/** `helix.json`: of the server (in its configuration folder) or of a repository (at its root). Unknown keys are errors. */
export const helixConfig = z.strictObject({
  $schema: z.string().optional(),
  global: z
    .strictObject({
      dataFolder: z.string().optional().describe('Where the server keeps its state'),
      storageFolder: z
        .string()
        .optional()
        .describe(
          'Where repositories, checkpoints and archives lie; several servers of one database share it. The data folder when absent',
        ),
      logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
    })
    .prefault({}),
  clients: z
    .strictObject({
      host: z.string().default('127.0.0.1').describe('Address the API listens on'),
      port: port.default(7777).describe('0 picks a free one'),
      server: z.url().optional().describe('The server that commands talk to'),
    })
    .prefault({}),
  database: z
    .strictObject({
      url: z.string().startsWith('postgres').optional().describe('PostgreSQL 15 or newer; an embedded one when absent'),
      poolSize: z.number().int().min(2).max(100).default(10),
    })
    .prefault({}),
  workers: z
    .strictObject({
      pool: z.array(workerConfig).default([]),
      local: z.boolean().default(true).describe('Run jobs on the server machine too'),
      localSlots: z.number().int().min(1).max(1024).optional(),
      heartbeatMs: z.number().int().min(100).default(10_000),
      lostAfterMs: z.number().int().min(1_000).default(300_000).describe('Silence after which a worker counts as lost'),
      dialAtOnce: z.number().int().min(1).max(64).default(8),
      userSshConfig: z.boolean().default(true).describe('Let ssh read ~/.ssh/config of the server user'),
    })
    .prefault({}),
  tools: z
    .strictObject({
      agent: agentConfig.prefault({}),
      setup: setupCommand.nullable().optional().describe('Makes a checkout ready; found from the lock file when absent'),
      test: z
        .strictObject({
          runner: z.enum(TEST_RUNNERS).optional(),
          junit: junitCommand.optional(),
          args: z.array(z.string()).default([]),
          env: z.record(z.string(), z.string()).default({}),
          unitTimeoutMs: z.number().int().positive().optional(),
        })
        .optional(),
      verify: agentSpec.shape.verify
        .optional()
        .describe('Commands that must pass before the work of an agent counts as done; `helix test`: the suite, divided over the workers'),
      build: z
        .array(
          z.strictObject({
            name: z.string().min(1),
            command: z.string().min(1),
            inputs: z.array(z.string()).min(1),
            outputs: z.array(z.string()).min(1),
            needs: z.array(z.string()).default([]),
            requires: z.array(z.string()).default([]),
            env: z.record(z.string(), z.string()).default({}),
          }),
        )
        .optional(),
    })
    .prefault({}),
  providers: providersConfig.prefault({}),
  logs: z
    .strictObject({
      outputLimitBytes: z
        .number()
        .int()
        .min(1024)
        .default(2 ** 31)
        .describe('Largest stdout or stderr of one job'),
    })
    .prefault({}),
  retention: z
    .strictObject({
      sweepMs: z.number().int().min(1_000).max(86_400_000).default(3_600_000).describe('Time between two sweeps'),
      outputDays: days.default(30).describe('Output of finished tasks'),
      outputBytes: bytes.default(50 * GIB).describe('All stored output; that of the oldest finished tasks goes first'),
      checkpointDays: days.default(30).describe('Checkpoints of finished tasks'),
      taskDays: days.default(180).describe('Finished tasks themselves, with all that belongs to them'),
      snapshotDays: days.default(30).describe('Commits handed over for tasks, after their last use'),
      blobDays: days.default(30).describe('Build outputs and set-up archives on the server, after their last use'),
      blobBytes: bytes.default(50 * GIB).describe('All of those together; the longest unused go first'),
      eventDays: days.default(30).describe('The event log, and how connections went'),
      workflowDays: days.default(7).describe('What the engine remembers of drivers that are over'),
      workerDays: days.default(14).describe('Unused checkouts, repositories and set-up archives on workers'),
      workerSetupBytes: bytes.default(20 * GIB).describe('All set-up archives of one worker; the longest unused go first'),
    })
    .prefault({}),
});
export type HelixConfig = z.infer<typeof helixConfig>;

/** The schema that editors read, for `helix.json`. */
export function helixConfigJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(helixConfig, { target: 'draft-2020-12', io: 'input' }) as Record<string, unknown>;
}
