import { z } from 'zod';
import { workerConfig, workerName } from '../config/helix-config.ts';
import { modelGates } from '../config/model-gates.ts';
import type { ErrorCode } from '../errors.ts';
import { event, TOPIC } from '../event/events.ts';
import { mergeQueueView } from '../merge/merge-view.ts';
import { MODEL_SUITES, SUITE_STRATEGIES } from '../model/model-suite.ts';
import { receiptKey, signedReceipt } from '../receipt/receipt.ts';
import { taskSubmission } from '../task/task-spec.ts';
import { TASK_STATES } from '../task/task-state.ts';
import { WORKER_ADMISSIONS } from '../worker/worker-state.ts';
import { gcReport } from './gc-report.ts';
import { budgetView, fitView, modelTrialView, modelView, providerView, usageView } from './model-views.ts';
import { ROUTE_PATHS } from './route-paths.ts';
import { approvalAnswer, approvalView, sessionEntryView, sessionStart, sessionView } from './session-views.ts';
import { checkpointView, connectivityEventView, projectView, serverMemberView, serverView, taskDetail, taskView, workerView } from './views.ts';

/** What a body is, where it is not JSON. */
export type RawBody = 'application/octet-stream' | 'application/xml' | 'text/plain' | 'text/event-stream';

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  /** Below `/api/v1`; `:name` is a path parameter. */
  path: string;
  summary: string;
  /** Heading it stands under in the API description. */
  tag: 'server' | 'workers' | 'projects' | 'tasks' | 'models' | 'receipts' | 'sessions' | 'events';
  query?: z.ZodObject;
  body?: z.ZodType | RawBody;
  /** Of status 200 (201 for what creates, 204 without a body). */
  answer: z.ZodType | RawBody | undefined;
  status: 200 | 201 | 204;
  /** Refusals a caller should expect, beside those of every route (token, bad request, internal). */
  errors: readonly ErrorCode[];
}

const count = z.coerce.number().int().min(1);
/** Lists are read in pages: `cursor` of the last answer continues; its absence in an answer means the end. */
const page = { limit: count.max(500).default(100), cursor: z.string().optional() };
const pageOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), cursor: z.string().optional() });

/** Not a number, so that it cannot be taken for one. */
const checkpointName = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,99}$/);

/** Every operation of the API, by name. The server, the clients and the API description are all made from it. */
export const ROUTES = {
  'server.get': {
    ...ROUTE_PATHS['server.get'], tag: 'server', summary: 'How the server and its pool stand',
    answer: serverView, status: 200, errors: [],
  },
  'server.config': {
    ...ROUTE_PATHS['server.config'], tag: 'server',
    summary: 'The configuration in force and where each value came from; secrets are left out',
    answer: z.object({ values: z.array(z.object({ key: z.string(), value: z.unknown(), origin: z.string() })) }),
    status: 200, errors: [],
  },
  'servers.list': {
    ...ROUTE_PATHS['servers.list'], tag: 'server', summary: 'The servers that share the database, oldest first',
    answer: z.object({ items: z.array(serverMemberView) }), status: 200, errors: [],
  },
  'server.backup': {
    ...ROUTE_PATHS['server.backup'],
    tag: 'server',
    summary: 'Everything the server keeps, its secrets included, as it stands now: a .tar.zst whose last entries are a manifest and its hash',
    answer: 'application/octet-stream',
    status: 200,
    errors: ['backup.external_database', 'gc.busy'],
  },
  'server.gc': {
    ...ROUTE_PATHS['server.gc'], tag: 'server',
    summary: 'Removes what the limits of retention in helix.json no longer keep, and says what that was; never of unfinished tasks',
    body: z.strictObject({ dryRun: z.boolean().default(false).describe('Only say what would be removed') }),
    answer: gcReport, status: 200, errors: ['gc.busy'],
  },
  'workers.list': {
    ...ROUTE_PATHS['workers.list'], tag: 'workers', summary: 'All workers of the pool',
    answer: z.object({ items: z.array(workerView) }), status: 200, errors: [],
  },
  'workers.add': {
    ...ROUTE_PATHS['workers.add'], tag: 'workers',
    summary: 'Adds a machine to the pool and starts to connect to it; follow its events or its state',
    body: workerConfig.extend({
      password: z.string().optional().describe('Kept encrypted; a key is better'),
      acceptFingerprint: z.string().optional().describe('SHA256:… of the host key you checked beforehand'),
    }),
    answer: workerView, status: 201, errors: ['worker.exists', 'api.bad_request'],
  },
  'workers.enrol': {
    ...ROUTE_PATHS['workers.enrol'], tag: 'workers',
    summary: 'Makes a token with which one machine may join the pool by itself, once; for a worker that dials in already, a machine in its place',
    body: z.strictObject({
      name: workerName,
      slots: z.number().int().min(1).max(1024).optional().describe('Jobs at once; its number of cores when absent'),
      labels: z.array(z.string()).optional().describe('Capabilities you vouch for, beside the detected ones'),
      validMs: z.number().int().min(1_000).max(30 * 86_400_000).default(86_400_000).describe('How long the token may be used'),
    }),
    answer: z.object({
      worker: workerView,
      token: z.string().describe('Shown once; the server keeps its hash only'),
      expiresAt: z.string().describe('RFC 3339'),
    }),
    status: 201, errors: ['worker.exists'],
  },
  'workers.get': {
    ...ROUTE_PATHS['workers.get'], tag: 'workers', summary: 'One worker, by id or name',
    answer: workerView, status: 200, errors: ['worker.not_found'],
  },
  'workers.events': {
    ...ROUTE_PATHS['workers.events'], tag: 'workers',
    summary: 'How its connection went, newest first',
    query: z.object({ limit: count.max(500).default(50) }),
    answer: z.object({ items: z.array(connectivityEventView) }), status: 200, errors: ['worker.not_found'],
  },
  'workers.accept-key': {
    ...ROUTE_PATHS['workers.accept-key'], tag: 'workers',
    summary: 'Pins a host key that the worker showed, by its fingerprint, and dials again',
    body: z.strictObject({ fingerprint: z.string().startsWith('SHA256:') }),
    answer: workerView, status: 200, errors: ['worker.not_found', 'worker.host_key_unknown', 'worker.host_key_revoked'],
  },
  'workers.revoke-key': {
    ...ROUTE_PATHS['workers.revoke-key'], tag: 'workers',
    summary: 'Never trusts that host key again, and ends the connection that relies on it',
    answer: workerView, status: 200, errors: ['worker.not_found'],
  },
  'workers.admission': {
    ...ROUTE_PATHS['workers.admission'], tag: 'workers',
    summary: 'Opens a worker for work, drains it, or takes it out',
    body: z.strictObject({ admission: z.enum(WORKER_ADMISSIONS) }),
    answer: workerView, status: 200, errors: ['worker.not_found'],
  },
  'workers.reconnect': {
    ...ROUTE_PATHS['workers.reconnect'], tag: 'workers',
    summary: 'Dials a blocked, suspect or lost worker now, optionally with a new password',
    body: z.strictObject({ password: z.string().optional() }),
    answer: workerView, status: 200, errors: ['worker.not_found'],
  },
  'workers.remove': {
    ...ROUTE_PATHS['workers.remove'], tag: 'workers',
    summary: 'Removes a worker and, where it can be reached, everything that was installed on it',
    query: z.object({ force: z.stringbool().default(false).describe('Even with jobs running or out of reach') }),
    answer: z.object({ removed: z.string(), uninstalled: z.boolean() }), status: 200,
    errors: ['worker.not_found', 'worker.busy', 'worker.unreachable'],
  },
  'projects.list': {
    ...ROUTE_PATHS['projects.list'], tag: 'projects', summary: 'Registered repositories',
    answer: z.object({ items: z.array(projectView) }), status: 200, errors: [],
  },
  'projects.add': {
    ...ROUTE_PATHS['projects.add'], tag: 'projects',
    summary: 'Registers a git repository by a path on the server or a URL; without a source it waits for snapshots',
    body: z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/),
      source: z.string().optional().describe('Path on the server, or a URL git can read'),
    }),
    answer: projectView, status: 201, errors: ['project.exists', 'project.source_unreadable'],
  },
  'projects.get': {
    ...ROUTE_PATHS['projects.get'], tag: 'projects', summary: 'One project, by id or name',
    answer: projectView, status: 200, errors: ['project.not_found'],
  },
  'projects.fetch': {
    ...ROUTE_PATHS['projects.fetch'], tag: 'projects', summary: 'Brings the mirror up to its source',
    answer: z.object({ commit: z.string().describe('Tip of the default branch') }), status: 200,
    errors: ['project.not_found', 'project.source_unreadable'],
  },
  'projects.tips': {
    ...ROUTE_PATHS['projects.tips'], tag: 'projects',
    summary: 'Commits the server holds: what a snapshot bundle may leave out',
    answer: z.object({ commits: z.array(z.string()) }), status: 200, errors: ['project.not_found'],
  },
  'projects.snapshot': {
    ...ROUTE_PATHS['projects.snapshot'], tag: 'projects',
    summary: 'Takes a git bundle that holds the commit, and keeps it for tasks',
    query: z.object({ commit: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/) }),
    body: 'application/octet-stream',
    answer: z.object({ commit: z.string() }), status: 201,
    errors: ['project.not_found', 'snapshot.refused', 'api.payload_too_large'],
  },
  'tasks.submit': {
    ...ROUTE_PATHS['tasks.submit'], tag: 'tasks', summary: 'Hands in a task',
    body: taskSubmission, answer: taskView, status: 201,
    errors: ['project.not_found', 'snapshot.refused', 'worker.not_found'],
  },
  'tasks.list': {
    ...ROUTE_PATHS['tasks.list'], tag: 'tasks', summary: 'Root tasks, newest first',
    query: z.object({ state: z.enum(TASK_STATES).optional(), project: z.string().optional(), ...page }),
    answer: pageOf(taskView), status: 200, errors: [],
  },
  'tasks.get': {
    ...ROUTE_PATHS['tasks.get'], tag: 'tasks', summary: 'A task with its attempts and all its subtasks',
    answer: taskDetail, status: 200, errors: ['task.not_found'],
  },
  'tasks.output': {
    ...ROUTE_PATHS['tasks.output'], tag: 'tasks',
    summary: 'Bytes of a stream of an attempt; the answer header helix-next-offset continues, helix-over says it is complete',
    query: z.object({
      stream: z.string().default('out'),
      attempt: z.coerce.number().int().min(1).optional().describe('Number of the attempt; the newest when absent'),
      from: z.coerce.number().int().min(0).default(0),
      maxBytes: count.max(4 * 1024 * 1024).default(1024 * 1024),
    }),
    answer: 'application/octet-stream', status: 200, errors: ['task.not_found', 'api.not_found'],
  },
  'tasks.cancel': {
    ...ROUTE_PATHS['tasks.cancel'], tag: 'tasks', summary: 'Cancels a task and everything below it',
    answer: taskView, status: 200, errors: ['task.not_found', 'task.move_refused'],
  },
  'tasks.retry': {
    ...ROUTE_PATHS['tasks.retry'], tag: 'tasks',
    summary: 'Runs a failed or cancelled task again; finished subtasks keep their results',
    answer: taskView, status: 200, errors: ['task.not_found', 'task.move_refused'],
  },
  'tasks.resume': {
    ...ROUTE_PATHS['tasks.resume'], tag: 'tasks',
    summary: 'Lets a paused task go on without the worker it waits for, optionally starting the critical part elsewhere',
    body: z.strictObject({ elsewhere: z.boolean().default(false) }),
    answer: taskView, status: 200, errors: ['task.not_found', 'task.move_refused'],
  },
  'tasks.checkpoint': {
    ...ROUTE_PATHS['tasks.checkpoint'], tag: 'tasks',
    summary: 'Takes a snapshot of the checkout of a running task, or of each running part of a divided one',
    body: z.strictObject({ name: checkpointName.optional() }),
    answer: z.object({ items: z.array(checkpointView) }), status: 201,
    errors: ['task.not_found', 'checkpoint.refused', 'checkpoint.failed'],
  },
  'tasks.checkpoints': {
    ...ROUTE_PATHS['tasks.checkpoints'], tag: 'tasks', summary: 'The checkpoints of a task and of its parts, oldest first; also those dropped',
    answer: z.object({ items: z.array(checkpointView) }), status: 200, errors: ['task.not_found'],
  },
  'tasks.merges': {
    ...ROUTE_PATHS['tasks.merges'], tag: 'tasks',
    summary: 'How the changes that the tasks of this tree made are merged: a queue for each project, with all that came into it',
    answer: z.object({ items: z.array(mergeQueueView) }), status: 200, errors: ['task.not_found'],
  },
  'tasks.rollback': {
    ...ROUTE_PATHS['tasks.rollback'], tag: 'tasks',
    summary: 'Takes a task back to a checkpoint: a running one starts again from it, any other begins its next attempt there',
    body: z.strictObject({
      to: z.union([z.number().int().min(0), checkpointName]).describe('Number of a checkpoint, 0 for the commit itself, or a name'),
    }),
    answer: taskView, status: 200, errors: ['task.not_found', 'task.move_refused', 'checkpoint.not_found'],
  },
  'tasks.junit': {
    ...ROUTE_PATHS['tasks.junit'], tag: 'tasks', summary: 'The merged JUnit XML of a test task',
    answer: 'application/xml', status: 200, errors: ['task.not_found', 'api.not_found'],
  },
  'tasks.coverage': {
    ...ROUTE_PATHS['tasks.coverage'], tag: 'tasks', summary: 'The merged lcov record of a test task',
    answer: 'text/plain', status: 200, errors: ['task.not_found', 'api.not_found'],
  },
  'tasks.artifact': {
    ...ROUTE_PATHS['tasks.artifact'], tag: 'tasks', summary: 'The outputs of a build target, as a .tar.zst',
    answer: 'application/octet-stream', status: 200, errors: ['task.not_found', 'api.not_found'],
  },
  'models.list': {
    ...ROUTE_PATHS['models.list'], tag: 'models',
    summary: 'Providers that can be used, and their models: those of helix.json and those found on local servers',
    query: z.object({ catalog: z.stringbool().default(false).describe('Also every known model of the vendors whose key is set') }),
    answer: z.object({ providers: z.array(providerView), items: z.array(modelView) }), status: 200, errors: [],
  },
  'models.test': {
    ...ROUTE_PATHS['models.test'], tag: 'models',
    summary: 'Asks each model one small question, after a check of its address and key; what it costs is booked as any call',
    body: z.strictObject({
      models: z.array(z.string().min(1)).max(100).optional().describe('provider/model, or a provider to check its key only; all of helix.json when absent'),
    }),
    answer: z.object({ items: z.array(modelTrialView) }), status: 200, errors: ['model.not_configured'],
  },
  'models.suite': {
    ...ROUTE_PATHS['models.suite'], tag: 'models',
    summary: 'Runs a suite of trials against models; events with each trial, the last with the report or with the error; booked as any call',
    body: z.strictObject({
      suite: z.enum(MODEL_SUITES),
      models: z.array(z.string().min(1)).max(100).optional().describe('provider/model; all of helix.json when absent'),
      strategy: z.enum(SUITE_STRATEGIES).optional().describe('Of the suite reasoning; none when absent'),
      gates: modelGates.optional().describe('In place of those of helix.json, each by itself'),
    }),
    answer: 'text/event-stream', status: 200, errors: ['model.not_configured', 'api.bad_request'],
  },
  'models.fit': {
    ...ROUTE_PATHS['models.fit'], tag: 'models', summary: 'On which machines a local model would run',
    query: z.object({
      model: z.string().min(1).describe('An installed model (qwen3:8b), or any name with the number of parameters in it (70b)'),
      contextTokens: count.default(32_768),
      quantisation: z.string().optional().describe('As GGUF names it; of an installed model its own, else Q4_K_M'),
    }),
    answer: z.object({
      model: z.string(),
      basis: z.enum(['size of its files', 'number of parameters']),
      contextTokens: z.number().int(),
      weightsBytes: z.number().int(),
      contextBytes: z.number().int(),
      needBytes: z.number().int(),
      items: z.array(fitView),
    }),
    status: 200, errors: ['model.unknown'],
  },
  'models.pull': {
    ...ROUTE_PATHS['models.pull'], tag: 'models',
    summary: 'Downloads a model to an Ollama; events with step, doneBytes and totalBytes, the last with done or with the error',
    body: z.strictObject({
      model: z.string().min(1),
      provider: z.string().default('ollama').describe('A provider of kind ollama'),
    }),
    answer: 'text/event-stream', status: 200, errors: ['model.unknown', 'model.unreachable', 'model.config_invalid', 'model.pull_failed'],
  },
  'models.record': {
    ...ROUTE_PATHS['models.record'], tag: 'models',
    summary: 'Asks a model and gives the transcript of it, JSON lines that can be replayed',
    body: z.strictObject({
      prompt: z.string().min(1),
      model: z.string().optional().describe('provider/model; the default when absent'),
    }),
    answer: 'text/plain', status: 200, errors: ['model.not_configured', 'model.config_invalid', 'budget.spent'],
  },
  'usage.get': {
    ...ROUTE_PATHS['usage.get'], tag: 'models', summary: 'What models were asked and what it cost, and how the budgets stand',
    query: z.object({
      by: z.enum(['run', 'user', 'model']).default('model'),
      since: z.iso.datetime({ offset: true }).or(z.iso.date()).optional().describe('The beginning of this month in UTC when absent'),
    }),
    answer: z.object({ since: z.string(), items: z.array(usageView), budgets: z.array(budgetView) }), status: 200, errors: [],
  },
  'receipts.list': {
    ...ROUTE_PATHS['receipts.list'], tag: 'receipts', summary: 'Signed evidence of what ran, newest first',
    query: z.object({ task: z.string().optional().describe('Only of this task'), ...page }),
    answer: pageOf(signedReceipt), status: 200, errors: [],
  },
  'receipts.key': {
    ...ROUTE_PATHS['receipts.key'], tag: 'receipts',
    summary: 'The public keys that receipts are checked with; current is the one this server signs with',
    answer: z.object({ current: z.string(), items: z.array(receiptKey) }), status: 200, errors: [],
  },
  'receipts.get': {
    ...ROUTE_PATHS['receipts.get'], tag: 'receipts', summary: 'One receipt, by its id or that of its task (then the newest)',
    answer: signedReceipt, status: 200, errors: ['receipt.not_found'],
  },
  'sessions.start': {
    ...ROUTE_PATHS['sessions.start'], tag: 'sessions', summary: 'Gives an agent a goal, at a commit of a project',
    body: sessionStart, answer: sessionView, status: 201,
    errors: ['project.not_found', 'snapshot.refused', 'worker.not_found', 'model.not_configured', 'model.config_invalid', 'agent.message_too_large'],
  },
  'sessions.list': {
    ...ROUTE_PATHS['sessions.list'], tag: 'sessions', summary: 'Conversations with agents, newest first',
    query: z.object({ project: z.string().optional(), ...page }),
    answer: pageOf(sessionView), status: 200, errors: [],
  },
  'sessions.get': {
    ...ROUTE_PATHS['sessions.get'], tag: 'sessions', summary: 'One session',
    answer: sessionView, status: 200, errors: ['session.not_found'],
  },
  'sessions.entries': {
    ...ROUTE_PATHS['sessions.entries'], tag: 'sessions',
    summary: 'What was said and done, oldest first: the way from the beginning to where the session stands',
    query: z.object({ after: z.coerce.number().int().min(0).default(0).describe('Only entries behind this one'), limit: count.max(1000).default(500) }),
    answer: z.object({ items: z.array(sessionEntryView) }), status: 200, errors: ['session.not_found'],
  },
  'sessions.say': {
    ...ROUTE_PATHS['sessions.say'], tag: 'sessions',
    summary: 'Says something to the agent: it reads it before its next step; one that has ended goes on',
    body: z.strictObject({ text: z.string().min(1).max(1_000_000) }),
    answer: sessionView, status: 200, errors: ['session.not_found', 'agent.message_too_large'],
  },
  'sessions.fork': {
    ...ROUTE_PATHS['sessions.fork'], tag: 'sessions',
    summary: 'A new session that begins as this one was at an entry, conversation and files; the first goes on as it is',
    body: z.strictObject({
      entry: z.number().int().optional().describe('Where it stands now, when absent'),
      text: z.string().min(1).max(1_000_000).optional().describe('What is said to the new one'),
    }),
    answer: sessionView, status: 201, errors: ['session.not_found', 'session.entry_not_found', 'checkpoint.not_found'],
  },
  'sessions.rewind': {
    ...ROUTE_PATHS['sessions.rewind'], tag: 'sessions',
    summary: 'Takes a session back to an entry, conversation and files together; what came after stays in the history and can be forked',
    body: z.strictObject({ entry: z.number().int() }),
    answer: sessionView, status: 200, errors: ['session.not_found', 'session.entry_not_found', 'checkpoint.not_found'],
  },
  'sessions.cancel': {
    ...ROUTE_PATHS['sessions.cancel'], tag: 'sessions', summary: 'Ends the work of an agent and of all it started; what it said and its checkpoints stay',
    answer: sessionView, status: 200, errors: ['session.not_found', 'task.move_refused'],
  },
  'sessions.transcript': {
    ...ROUTE_PATHS['sessions.transcript'], tag: 'sessions', summary: 'What the model was asked and answered, JSON lines that can be played again',
    answer: 'text/plain', status: 200, errors: ['session.not_found', 'model.config_invalid'],
  },
  'sessions.changes': {
    ...ROUTE_PATHS['sessions.changes'], tag: 'sessions',
    summary: 'What the agent changed, as a git bundle of one commit on the one it began at; the answer header helix-commit names it',
    answer: 'application/octet-stream', status: 200, errors: ['session.not_found', 'session.no_changes'],
  },
  'approvals.list': {
    ...ROUTE_PATHS['approvals.list'], tag: 'sessions', summary: 'What waits for a person, oldest first',
    query: z.object({ session: z.string().optional(), all: z.stringbool().default(false).describe('Also what was answered') }),
    answer: z.object({ items: z.array(approvalView) }), status: 200, errors: [],
  },
  'approvals.answer': {
    ...ROUTE_PATHS['approvals.answer'], tag: 'sessions', summary: 'Answers a question of an agent, agrees to or refuses what it asks for',
    body: approvalAnswer, answer: approvalView, status: 200, errors: ['approval.not_found', 'approval.answered'],
  },
  'events.list': {
    ...ROUTE_PATHS['events.list'], tag: 'events', summary: 'What happened after a sequence number, oldest first',
    query: z.object({
      topic: z.string().regex(TOPIC).default('all'),
      after: z.coerce.number().int().min(0).default(0).describe('Last number you have; 0 for all that are kept'),
      limit: count.max(1000).default(200),
    }),
    answer: z.object({ items: z.array(event), newest: z.number().int() }), status: 200, errors: ['api.cursor_too_old'],
  },
  'events.stream': {
    ...ROUTE_PATHS['events.stream'], tag: 'events',
    summary: 'The same as server-sent events; Last-Event-ID or after resumes without a gap',
    query: z.object({ topic: z.string().regex(TOPIC).default('all'), after: z.coerce.number().int().min(0).optional() }),
    answer: 'text/event-stream', status: 200, errors: ['api.cursor_too_old'],
  },
} as const satisfies Record<keyof typeof ROUTE_PATHS, Route>;

export type RouteName = keyof typeof ROUTES;

/** Names of the `:parameters` of a path. */
export function pathParameters(path: string): string[] {
  return [...path.matchAll(/:([a-z]+)/g)].map((match) => match[1] ?? '');
}

/** The body of every refusal. @see RFC 9457 (problem details), with our code, what to do next and the request's id. */
export const problem = z.object({
  type: z.string().describe('about:blank, or a page about the error'),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().describe('A sentence that names the thing and the fact'),
  code: z.string().describe('Stable name of the error, e.g. worker.not_found'),
  next: z.string().optional().describe('The command that mends it'),
  retryable: z.boolean(),
  requestId: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type Problem = z.infer<typeof problem>;
