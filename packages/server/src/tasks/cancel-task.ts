import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { askCancel } from './attempt-sql.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import type { TaskRow } from './task-row.ts';
import { cancelDescendants, lockTask, moveTask } from './task-sql.ts';

/** Cancels what is not settled below a task, and asks the workers to stop; part of the caller's transaction. */
export async function cancelBelow(
  tx: Db,
  task: TaskRow,
  failure: ErrorFact,
): Promise<{ events: NewEvent[]; losers: { id: AttemptId; worker_id: WorkerId }[] }> {
  const cancelled = await cancelDescendants(tx, task.id, failure);
  const losers = await askCancel(tx, [task.id, ...cancelled.map((row) => row.id)], undefined);
  return {
    losers,
    events: cancelled.map((row) => ({
      root: row.root_id,
      task: row.id,
      body: { type: 'task.moved', from: row.from_state, to: 'cancelled', command: 'cancel', failure },
    })),
  };
}

/**
 * Cancels a task and everything below it. The state changes at once; the processes are told to end and have
 * `CANCEL_GRACE_MS` before they are killed.
 *
 * @param failure why, when not by a person's wish: a deadline that has passed fails the task instead of cancelling it
 * @throws CodedError `task.move_refused` when it is over already
 */
export async function cancelTask(context: TaskContext, id: TaskId, failure?: ErrorFact): Promise<TaskRow> {
  return context.db.tx(async (tx) => {
    const task = await lockTask(tx, id);
    if (isSettled(task.state))
      throw new CodedError('task.move_refused', `${task.name} (${id}) is ${task.state} already and cannot be cancelled`, {
        next: `helix tasks show ${id}`,
      });
    const why: ErrorFact = failure ?? { code: 'task.cancelled', message: `${task.name} was cancelled` };
    const command = failure && task.state !== 'blocked' && task.state !== 'paused' ? 'fail' : 'cancel';
    const to = command === 'fail' ? 'failed' : 'cancelled';
    const row = await moveTask(tx, id, command, to, { failure: why });
    if (!row) throw new Error(`task ${id} is locked and ${task.state}, yet could not be moved by ${command}`);
    const below = await cancelBelow(tx, task, why);
    await appendEvents(tx, [
      ...below.events,
      { root: task.root_id, task: id, body: { type: 'task.moved', from: task.state, to, command, failure: why } },
    ]);
    tx.afterCommit(() => {
      for (const loser of below.losers) context.pool.cancel(loser.worker_id, loser.id, CANCEL_GRACE_MS);
      if (task.parent_id) context.wakeDriver(task.parent_id);
      if (!task.is_leaf) context.wakeDriver(id);
      context.wakePlacement();
      context.wakeEvents();
    });
    return row;
  });
}
