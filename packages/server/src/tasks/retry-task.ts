import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { TaskId } from '@helixcode/protocol/ids';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { fenceAttempts } from './attempt-sql.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import type { TaskRow } from './task-row.ts';
import { getTask, lockTask, moveTask, nextRound, requeueDescendants } from './task-sql.ts';

/**
 * Runs a failed or cancelled root task again. What is completed below it keeps its result; the rest is queued anew.
 *
 * @throws CodedError `task.move_refused` when it is not over, completed, or a subtask
 */
export async function retryTask(context: TaskContext & { startDriver(task: TaskRow): void }, id: TaskId): Promise<TaskRow> {
  const row = await context.db.tx(async (tx) => {
    const task = await lockTask(tx, id);
    if (task.parent_id !== null)
      throw new CodedError('task.move_refused', `${task.name} (${id}) is part of ${task.root_id} and is retried with it`, {
        next: `helix tasks retry ${task.root_id}`,
      });
    const moved = task.state === 'running' ? undefined : await moveTask(tx, id, 'retry', 'pending');
    if (!moved)
      throw new CodedError('task.move_refused', `${task.name} (${id}) is ${task.state}; only a failed or cancelled task can be retried`, {
        next: `helix tasks show ${id}`,
      });
    const events: NewEvent[] = [{ root: id, task: id, body: { type: 'task.moved', from: task.state, to: 'pending', command: 'retry' } }];
    const retried = [id];
    if (!task.is_leaf) {
      await nextRound(tx, id);
      for (const child of await requeueDescendants(tx, id)) {
        retried.push(child.id);
        events.push({
          root: id,
          task: child.id,
          body: {
            type: 'task.moved',
            from: child.from_state,
            to: child.to_state,
            command: child.to_state === 'blocked' ? 'block' : 'retry',
          },
        });
      }
    }
    // What was cancelled may still be on its way to its end: that end is none of the new round's.
    const reason: ErrorFact = { code: 'job.replaced', message: `${task.name} is retried, without this attempt` };
    const stopped = await fenceAttempts(tx, { tasks: retried, attempts: undefined }, reason, true);
    tx.afterCommit(() => {
      for (const attempt of stopped) context.pool.cancel(attempt.worker_id, attempt.id, CANCEL_GRACE_MS);
    });
    await appendEvents(tx, events);
    return getTask(tx, id);
  });
  context.wakeEvents();
  if (!row.is_leaf) context.startDriver(row);
  context.wakePlacement();
  return row;
}
