import type { AttemptView, TaskDetail, TaskView } from '@helixcode/protocol/api/views';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { Event } from '@helixcode/protocol/event/events';
import type { TaskState } from '@helixcode/protocol/task/task-state';

/** One task as it is shown. Times are milliseconds since the epoch. */
export interface TaskNode {
  id: string;
  kind: string;
  name: string;
  state: TaskState;
  startedMs: number | undefined;
  finishedMs: number | undefined;
  /** Name of the worker of its newest attempt. */
  worker: string | undefined;
  attempt: { number: number; state: AttemptView['state']; exitCode?: number | undefined } | undefined;
  waitingFor: string | undefined;
  progress: TaskView['progress'];
  failure: Pick<ErrorFact, 'message' | 'next'> | undefined;
}

export interface FailedTest {
  unit: string;
  name: string;
  message?: string;
  file?: string;
  line?: number;
}

/** A task and everything below it, kept up to date by events. */
export interface TaskModel {
  /** The task that is looked at. */
  readonly root: string;
  /** The tree it belongs to: itself, or the root above it. */
  readonly tree: string;
  /** In the order of creation, the root first. */
  readonly nodes: Map<string, TaskNode>;
  /** Names of workers by id. */
  readonly workerNames: Map<string, string>;
  /** Of tests that failed in a first run, as far as they are known. */
  readonly failedTests: FailedTest[];
}

/** What an event changed, for those who tell changes one by one. */
export type Change =
  | { type: 'state'; node: TaskNode; from: TaskState }
  | { type: 'waiting' | 'progress'; node: TaskNode }
  | { type: 'failedTest'; test: FailedTest };

export function createTaskModel(detail: TaskDetail, workerNames: Iterable<readonly [string, string]> = []): TaskModel {
  const model: TaskModel = { root: detail.id, tree: detail.root, nodes: new Map(), workerNames: new Map(workerNames), failedTests: [] };
  for (const view of [detail, ...detail.tree]) {
    model.nodes.set(view.id, {
      id: view.id,
      kind: view.kind,
      name: view.name,
      state: view.state,
      startedMs: view.startedAt === undefined ? undefined : Date.parse(view.startedAt),
      finishedMs: view.finishedAt === undefined ? undefined : Date.parse(view.finishedAt),
      worker: view.attempt?.workerName,
      attempt: view.attempt && { number: view.attempt.number, state: view.attempt.state, exitCode: view.attempt.exitCode },
      waitingFor: view.waitingFor ?? view.pausedBecause,
      progress: view.progress,
      failure: view.failure,
    });
    if (view.attempt) model.workerNames.set(view.attempt.worker, view.attempt.workerName);
  }
  return model;
}

/** Takes an event in. Events that the model has seen already, or that are of another tree, change nothing. */
export function applyEvent(model: TaskModel, event: Event): Change[] {
  const { body } = event;
  const atMs = Date.parse(event.at);
  if (event.task === undefined || event.root !== model.tree) return [];
  if (body.type === 'task.created') {
    // Whether it belongs below a task that is itself below another is not said; only a whole tree grows.
    if (model.nodes.has(event.task) || model.root !== model.tree) return [];
    model.nodes.set(event.task, {
      id: event.task,
      kind: body.kind,
      name: body.name,
      state: body.state,
      startedMs: undefined,
      finishedMs: undefined,
      worker: undefined,
      attempt: undefined,
      waitingFor: undefined,
      progress: undefined,
      failure: undefined,
    });
    return [];
  }
  const node = model.nodes.get(event.task);
  if (node === undefined) return [];
  switch (body.type) {
    case 'task.moved': {
      if (node.state === body.to) return [];
      node.state = body.to;
      node.waitingFor = body.to === 'paused' ? body.reason : undefined;
      node.failure = body.failure;
      node.finishedMs = ['completed', 'failed', 'cancelled'].includes(body.to) ? atMs : undefined;
      if (body.to === 'running') node.startedMs ??= atMs;
      return [{ type: 'state', node, from: body.from }];
    }
    case 'task.waiting':
      if (node.waitingFor === body.reason) return [];
      node.waitingFor = body.reason;
      return [{ type: 'waiting', node }];
    case 'task.progress':
      node.progress = { phase: body.phase, done: body.done, total: body.total };
      return [{ type: 'progress', node }];
    case 'attempt.moved':
      if (node.attempt && node.attempt.number > body.number) return [];
      node.attempt = { number: body.number, state: body.to, exitCode: body.exitCode };
      node.worker = model.workerNames.get(body.worker) ?? body.worker;
      return [];
    default:
      return [];
  }
}

export function rootOf(model: TaskModel): TaskNode {
  const root = model.nodes.get(model.root);
  if (root === undefined) throw new Error(`task ${model.root} is not in its own tree`);
  return root;
}

export function childrenOf(model: TaskModel): TaskNode[] {
  return [...model.nodes.values()].filter((node) => node.id !== model.root);
}
