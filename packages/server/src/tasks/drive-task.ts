import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { newId, type ProjectId, type TaskId, type WorkerId } from '@helixcode/protocol/ids';
import { isSettled, TASK_MOVES } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import type { Turn } from '../engine/durable-engine.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { oweReceipts } from '../receipts/receipt-sql.ts';
import { listAttempts, listAttemptsOfTask } from './attempt-sql.ts';
import { findBuild, keepBuild } from './build-cache-sql.ts';
import { cancelBelow } from './cancel-task.ts';
import type { Advance, ChildPlan, View } from './kinds/kind.ts';
import { KINDS } from './kinds/kinds.ts';
import { readStream } from './read-stream.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import type { NewTask, TaskRow } from './task-row.ts';
import {
  countChildren,
  getTask,
  insertDependencies,
  insertTasks,
  listChildren,
  lockTask,
  moveTask,
  readDocument,
  readDocumentsOfChildren,
  saveDocument,
  saveDriverState,
  setResult,
  settleBlocked,
  unblockLeaf,
} from './task-sql.ts';
import type { ProjectFiles } from './testing/test-runner.ts';
import { readTimings, writeTimings } from './timing-sql.ts';

const LOOK_AGAIN_MS = 60_000;
/** A turn that fails this often in a row for the same task is a fault that waiting does not mend. */
const FAILURES_BEFORE_GIVING_UP = 5;

export interface DriverDeps extends TaskContext {
  projectFiles(project: ProjectId, commit: string): Promise<ProjectFiles>;
  nameOfWorker(id: WorkerId): string;
  /** Does the work of an agent until it ends, or the server does; absent where there are no agents. */
  driveAgent?: (task: TaskRow) => Promise<Advance>;
}

/** Where it rests, so many ends of subtasks call it back before its time. */
export type TaskTurn = Turn & { restEnds?: number };

/** One turn of a task's driver: look, decide, write the decision in one transaction. */
export function createTaskDriver(deps: DriverDeps): (driver: string) => Promise<TaskTurn> {
  const failures = new Map<TaskId, number>();

  return async (driver) => {
    const [id, round] = driver.split('.') as [TaskId, string];
    const task = await getTask(deps.db, id);
    if (isSettled(task.state) || String(task.attempts) !== round) return { over: true };
    if (task.state === 'paused') return { over: false, lookAgainMs: LOOK_AGAIN_MS };
    try {
      const advance = await look(deps, task);
      await deps.db.tx((tx) => apply(tx, deps, task.id, advance));
      failures.delete(id);
      if (advance.outcome) return { over: true };
      return {
        over: false,
        lookAgainMs: advance.lookAgainMs ?? LOOK_AGAIN_MS,
        ...(advance.rest && { restMs: advance.rest.ms, restEnds: advance.rest.ends }),
      };
    } catch (error) {
      const count = (failures.get(id) ?? 0) + 1;
      failures.set(id, count);
      const isRefusal = error instanceof CodedError && error.code !== 'database.unavailable';
      if (!isRefusal && count < FAILURES_BEFORE_GIVING_UP) throw error;
      failures.delete(id);
      deps.log.error({ err: error, task: id }, 'a task could not be driven on');
      await giveUp(deps, task.id, toFact(error));
      return { over: true };
    }
  };
}

async function look(deps: DriverDeps, task: TaskRow): Promise<Advance> {
  const { db } = deps;
  if (task.kind === 'agent') {
    if (!deps.driveAgent) throw new Error(`task ${task.id} needs an agent, and there are none here`);
    return deps.driveAgent(task);
  }
  const view: View<never, Record<string, unknown>> = {
    task,
    spec: task.spec as never,
    memo: task.memo,
    children: () => listChildren(db, task.id),
    countChildren: () => countChildren(db, task.id),
    attempts: (child) => listAttemptsOfTask(db, child),
    treeAttempts: () => listAttempts(db, task.root_id),
    readStream: (attempt, stream, lastBytes) => readStream(db, attempt, stream, lastBytes),
    readDocument: (child, name) => readDocument(db, child, name),
    readChildDocuments: (name) => readDocumentsOfChildren(db, task.id, name),
    projectFiles: deps.projectFiles,
    slotsFor(requires) {
      const fit = deps.pool
        .workers()
        .filter((worker) => worker.state === 'up' && worker.admission === 'open' && requires.every((label) => worker.labels.has(label)));
      return { slots: fit.reduce((sum, worker) => sum + worker.slots, 0), workers: fit.length };
    },
    timings: {
      read: (project, runner) => readTimings(db, project, runner),
      write: (project, runner, measured) => writeTimings(db, project, runner, measured),
    },
    buildCache: { find: (key) => findBuild(db, key), keep: (key, blob, by) => keepBuild(db, key, blob, by) },
    nameOfWorker: deps.nameOfWorker,
    outputLimitBytes: deps.outputLimitBytes,
  };
  return KINDS[task.kind].advance(view);
}

async function apply(tx: Db, deps: DriverDeps, id: TaskId, advance: Advance): Promise<void> {
  const task = await lockTask(tx, id);
  // Somebody settled or paused it while the driver looked: its decision is about a task that is no more.
  if (isSettled(task.state) || task.state === 'paused') return;
  const events: NewEvent[] = [];
  const about = (child: TaskId) => ({ root: task.root_id, task: child, ...(task.project_id && { project: task.project_id }) });

  if (task.state === 'pending') {
    await moveTask(tx, id, 'claim', 'running');
    events.push({ ...about(id), body: { type: 'task.moved', from: 'pending', to: 'running', command: 'claim' } });
  }
  if (advance.add?.length) {
    const added = await insertTasks(
      tx,
      advance.add.map((plan) => toNewTask(task, plan)),
    );
    await addDependencies(tx, task.id, advance.add);
    for (const child of added)
      events.push({ ...about(child.id), body: { type: 'task.created', kind: child.kind, name: child.name, state: child.state } });
  }
  for (const { child, job } of advance.unblock ?? []) {
    if (await unblockLeaf(tx, child, job))
      events.push({ ...about(child), body: { type: 'task.moved', from: 'blocked', to: 'pending', command: 'unblock' } });
  }
  for (const { child, state, result, failure } of advance.settle ?? []) {
    if (await settleBlocked(tx, child, state, result, failure))
      events.push({
        ...about(child),
        body: {
          type: 'task.moved',
          from: 'blocked',
          to: state,
          command: state === 'completed' ? 'complete' : 'cancel',
          ...(failure && { failure }),
        },
      });
  }
  for (const { child, result } of advance.results ?? []) await setResult(tx, child, result);
  for (const document of advance.documents ?? []) await saveDocument(tx, document.task, document.name, document.body);
  if (advance.memo || advance.progress) await saveDriverState(tx, id, advance.memo ?? task.memo, advance.progress);
  if (advance.progress && JSON.stringify(advance.progress) !== JSON.stringify(task.progress))
    events.push({ ...about(id), body: { type: 'task.progress', ...advance.progress } });

  let losers: Awaited<ReturnType<typeof cancelBelow>>['losers'] = [];
  if (advance.outcome) {
    const { state } = advance.outcome;
    const failure = advance.outcome.state === 'failed' ? advance.outcome.failure : undefined;
    await moveTask(tx, id, state === 'completed' ? 'complete' : 'fail', state, { result: advance.outcome.result, failure });
    if (state === 'completed') await oweReceipts(tx, [id]);
    const below = await cancelBelow(tx, task, { code: 'task.cancelled', message: `${task.name} is over` });
    losers = below.losers;
    events.push(...below.events, {
      ...about(id),
      body: {
        type: 'task.moved',
        from: 'running',
        to: state,
        command: state === 'completed' ? 'complete' : 'fail',
        ...(failure && { failure }),
      },
    });
  }
  if (events.length > 0) await appendEvents(tx, events);
  tx.afterCommit(() => {
    deps.wakeEvents();
    for (const loser of losers) deps.pool.cancel(loser.worker_id, loser.id, CANCEL_GRACE_MS);
    if (advance.add?.length || advance.unblock?.length || losers.length > 0) deps.wakePlacement();
    if (advance.outcome && task.parent_id) deps.wakeDriver(task.parent_id);
  });
}

function toNewTask(parent: TaskRow, plan: ChildPlan): NewTask {
  const isKnown = plan.result !== undefined;
  return {
    id: newId('task'),
    root: parent.root_id,
    parent: parent.id,
    key: plan.key,
    ...(parent.project_id && { project: parent.project_id }),
    kind: parent.kind,
    name: plan.name,
    isLeaf: true,
    spec: plan.spec,
    ...(plan.job && { job: plan.job }),
    state: isKnown ? 'completed' : plan.job ? 'pending' : 'blocked',
    priority: parent.priority + (plan.priorityBoost ?? 0),
    requires: [...new Set([...parent.requires, ...(plan.requires ?? [])])],
    ...(parent.only_worker && { onlyWorker: parent.only_worker }),
    ...(plan.expectedMs !== undefined && { expectedMs: plan.expectedMs }),
    mayCopy: plan.mayCopy ?? false,
    ...(plan.maxSlots !== undefined && { maxSlots: plan.maxSlots }),
    policy: plan.policy,
    ...(isKnown && { result: plan.result }),
  };
}

async function addDependencies(tx: Db, parent: TaskId, plans: ChildPlan[]): Promise<void> {
  if (!plans.some((plan) => plan.needs?.length)) return;
  const idByKey = new Map((await listChildren(tx, parent)).map((child) => [child.key, child.id]));
  const pairs = plans.flatMap((plan) =>
    (plan.needs ?? []).flatMap((need) => {
      const [task, needs] = [idByKey.get(plan.key), idByKey.get(need)];
      return task && needs ? [{ task, needs }] : [];
    }),
  );
  await insertDependencies(tx, pairs);
}

async function giveUp(deps: DriverDeps, id: TaskId, failure: ErrorFact): Promise<void> {
  await deps.db.tx(async (tx) => {
    const task = await lockTask(tx, id);
    if (!('fail' in TASK_MOVES[task.state])) return;
    await moveTask(tx, id, 'fail', 'failed', { failure });
    const below = await cancelBelow(tx, task, { code: 'task.cancelled', message: `${task.name} failed` });
    await appendEvents(tx, [
      ...below.events,
      { root: task.root_id, task: id, body: { type: 'task.moved', from: task.state, to: 'failed', command: 'fail', failure } },
    ]);
    tx.afterCommit(() => {
      for (const loser of below.losers) deps.pool.cancel(loser.worker_id, loser.id, CANCEL_GRACE_MS);
      deps.wakeEvents();
    });
  });
}

function toFact(error: unknown): ErrorFact {
  if (error instanceof CodedError) return error.toFact();
  return {
    code: 'api.internal',
    message: `the server failed on this task: ${error instanceof Error ? error.message : String(error)}`,
    next: 'helix status',
  };
}
