import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import { TASK_MOVES } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { fenceAttempts } from './attempt-sql.ts';
import { findRestorePoint, setRestore } from './checkpoint-sql.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import type { RestorePoint, TaskRow } from './task-row.ts';
import { getTask, listChildren, lockTask, moveTask } from './task-sql.ts';

interface RolledBack {
  events: NewEvent[];
  stopped: { id: AttemptId; worker_id: WorkerId }[];
}

/**
 * Takes a task back to a checkpoint. What runs is stopped and starts again from there; what waits, failed or was
 * cancelled begins its next attempt there. Of a divided task a name takes back every part that has a checkpoint of that
 * name, and 0 every part; what is completed keeps its result.
 *
 * @param to number of a checkpoint, 0 for the commit of the job, or a name (the newest of that name)
 * @throws CodedError `checkpoint.not_found`; `task.move_refused` for a completed task
 */
export async function rollbackTask(context: TaskContext, id: TaskId, to: number | string): Promise<TaskRow> {
  await context.db.tx(async (tx) => {
    const task = await lockTask(tx, id);
    if (task.state === 'completed')
      throw new CodedError('task.move_refused', `${task.name} (${id}) is completed and keeps its result`, {
        next: `helix tasks show ${id}`,
      });
    const parts = task.is_leaf ? [task] : await partsToTakeBack(tx, task, to);
    const rolledBack: RolledBack = { events: [], stopped: [] };
    for (const part of parts) {
      const point = await pointOf(tx, part, to);
      if (point !== undefined) await rollbackLeaf(tx, part, point, rolledBack);
    }
    if (rolledBack.events.length === 0) throw noSuchCheckpoint(task, to);
    await appendEvents(tx, rolledBack.events);
    tx.afterCommit(() => {
      for (const { id, worker_id } of rolledBack.stopped) context.pool.cancel(worker_id, id, CANCEL_GRACE_MS);
      context.wakePlacement();
      context.wakeEvents();
    });
  });
  return getTask(context.db, id);
}

async function partsToTakeBack(tx: Db, task: TaskRow, to: number | string): Promise<TaskRow[]> {
  if (typeof to === 'number' && to > 0)
    throw new CodedError('checkpoint.not_found', `${task.name} (${task.id}) is divided: numbers belong to its parts`, {
      next: `helix tasks checkpoints ${task.id}`,
    });
  const parts: TaskRow[] = [];
  for (const child of await listChildren(tx, task.id))
    if (child.is_leaf && child.state !== 'completed') parts.push(await lockTask(tx, child.id));
  return parts;
}

/** @returns `null` for the commit of the job; `undefined` where a part has no checkpoint of that name */
async function pointOf(tx: Db, leaf: TaskRow, to: number | string): Promise<RestorePoint | null | undefined> {
  if (to === 0) return null;
  return findRestorePoint(tx, leaf.id, typeof to === 'number' ? { number: to } : { name: to });
}

async function rollbackLeaf(tx: Db, leaf: TaskRow, point: RestorePoint | null, rolledBack: RolledBack): Promise<void> {
  const about = { root: leaf.root_id, task: leaf.id };
  await setRestore(tx, leaf.id, point);
  rolledBack.events.push({ ...about, body: { type: 'task.rolled_back', to: point?.number ?? 0 } });
  if (leaf.state !== 'running') return;
  const reason: ErrorFact = {
    code: 'task.rolled_back',
    message: `${leaf.name} was taken back to ${point ? `checkpoint ${point.number}` : 'its commit'}`,
  };
  const fenced = await fenceAttempts(tx, { tasks: [leaf.id], attempts: undefined }, reason, true);
  rolledBack.stopped.push(...fenced);
  await moveTask(tx, leaf.id, 'retry', TASK_MOVES.running.retry ?? 'pending', {});
  rolledBack.events.push({
    ...about,
    body: { type: 'task.moved', from: 'running', to: 'pending', command: 'retry', reason: reason.message },
  });
}

function noSuchCheckpoint(task: TaskRow, to: number | string): CodedError {
  const wanted = typeof to === 'number' ? `checkpoint ${to}` : `checkpoint named ${to}`;
  return new CodedError('checkpoint.not_found', `${task.name} (${task.id}) has no ${wanted} whose files are kept`, {
    next: `helix tasks checkpoints ${task.id}`,
  });
}
