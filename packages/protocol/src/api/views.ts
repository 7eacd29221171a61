import { z } from 'zod';
import { ATTEMPT_STATES } from '../task/attempt-state.ts';
import { TASK_STATES } from '../task/task-state.ts';
import { machineFacts, workerLoad } from '../worker/capabilities.ts';
import { CHECKPOINT_CAUSES, leftOutFile } from '../worker/checkpoint.ts';
import { WORKER_ADMISSIONS, WORKER_STATES } from '../worker/worker-state.ts';

const time = z.string().describe('RFC 3339');

export const failureView = z.object({
  code: z.string(),
  message: z.string(),
  next: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

export const attemptView = z.object({
  id: z.string(),
  number: z.number().int(),
  worker: z.string().describe('Worker id'),
  workerName: z.string(),
  state: z.enum(ATTEMPT_STATES),
  /** Set while the worker has no link: the job is presumed to run. */
  unknown: z.boolean(),
  /** Why it does not count at present: its worker fell silent and the task went on elsewhere. */
  fenced: failureView.optional(),
  restoredFrom: z.number().int().optional().describe('Checkpoint its files were taken from'),
  exitCode: z.number().int().optional(),
  reason: failureView.optional(),
  streams: z.record(z.string(), z.number().int()).describe('Stored bytes of each stream'),
  assignedAt: time,
  startedAt: time.optional(),
  finishedAt: time.optional(),
  wallMs: z.number().optional(),
  cpuMs: z.number().optional(),
  prepareMs: z.number().optional(),
});
export type AttemptView = z.infer<typeof attemptView>;

export const taskView = z.object({
  id: z.string(),
  root: z.string(),
  parent: z.string().optional(),
  kind: z.string(),
  name: z.string(),
  state: z.enum(TASK_STATES),
  project: z.string().optional(),
  priority: z.number().int(),
  requires: z.array(z.string()),
  /** Why it has not started: `no worker has gpu`, `every slot is taken`, `waits for build`. */
  waitingFor: z.string().optional(),
  pausedBecause: z.string().optional().describe('Why it is paused, and what ends that'),
  progress: z.object({ phase: z.string(), done: z.number(), total: z.number() }).optional(),
  failure: failureView.optional(),
  result: z.unknown().optional(),
  createdAt: time,
  startedAt: time.optional(),
  finishedAt: time.optional(),
  attempt: attemptView.optional().describe('The newest attempt of a leaf'),
});
export type TaskView = z.infer<typeof taskView>;

export const taskDetail = taskView.extend({
  spec: z.unknown(),
  attempts: z.array(attemptView),
  /** All descendants, in the order of creation. */
  tree: z.array(taskView),
});
export type TaskDetail = z.infer<typeof taskDetail>;

export const checkpointView = z.object({
  task: z.string(),
  number: z.number().int().describe('Counts from 1 for each task'),
  cause: z.enum(CHECKPOINT_CAUSES),
  name: z.string().optional(),
  attempt: z.number().int().describe('Number of the attempt it was taken of'),
  commit: z.string(),
  files: z.number().int().describe('Files that differ from the commit it stands on'),
  bundleBytes: z.number().int().describe('Size in which it travelled'),
  tookMs: z.number().describe('Time it took on the worker'),
  leftOut: z.array(leftOutFile),
  leftOutCount: z.number().int(),
  createdAt: time,
  droppedAt: time.optional().describe('Its files are no longer kept'),
});
export type CheckpointView = z.infer<typeof checkpointView>;

export const workerView = z.object({
  id: z.string(),
  name: z.string(),
  transport: z.enum(['ssh', 'local', 'dial-in']),
  address: z.string().describe('user@host:port, or the folder of a local worker'),
  state: z.enum(WORKER_STATES),
  admission: z.enum(WORKER_ADMISSIONS),
  reason: failureView.optional().describe('Why it is not up'),
  slots: z.number().int(),
  running: z.number().int(),
  labels: z.array(z.string()).describe('Capabilities, detected and vouched for'),
  facts: machineFacts.optional(),
  load: workerLoad.optional(),
  hostKeys: z.array(z.object({ type: z.string(), fingerprint: z.string(), accepted: z.boolean() })),
  agent: z.string().optional().describe('Content hash of the agent it runs'),
  lastSeenAt: time.optional(),
  createdAt: time,
});
export type WorkerView = z.infer<typeof workerView>;

export const projectView = z.object({
  id: z.string(),
  name: z.string(),
  source: z.string().optional().describe('Path or URL it was registered from'),
  defaultBranch: z.string().optional(),
  createdAt: time,
});
export type ProjectView = z.infer<typeof projectView>;

export const connectivityEventView = z.object({
  at: time,
  from: z.enum(WORKER_STATES),
  to: z.enum(WORKER_STATES),
  command: z.string(),
  reason: failureView.optional(),
});

export const serverView = z.object({
  id: z.string(),
  version: z.string(),
  url: z.string(),
  startedAt: time,
  database: z.enum(['embedded', 'external']),
  workers: z.record(z.string(), z.number().int()).describe('Workers by state'),
  slots: z.object({ total: z.number().int(), taken: z.number().int() }),
  tasks: z.record(z.string(), z.number().int()).describe('Unsettled root tasks by state'),
  loopDelayP99Ms: z.number().describe('How late the event loop of the server is: 99th percentile of the last 10 to 20 seconds'),
});
export const serverMemberView = z.object({
  id: z.string(),
  url: z.string().describe('Where it answers; empty until it does'),
  version: z.string(),
  state: z.enum(['live', 'draining', 'lost']).describe('draining: takes nothing new; lost: its lease has run out'),
  host: z.string(),
  since: time.describe('When it was started'),
  workers: z.number().int().describe('Workers whose link it holds'),
  isAnswering: z.boolean().describe('Whether this is the server that was asked'),
});
export type ServerMemberView = z.infer<typeof serverMemberView>;

export type ServerView = z.infer<typeof serverView>;
