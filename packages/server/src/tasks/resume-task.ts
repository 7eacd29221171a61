import { CodedError } from '@helixcode/protocol/errors';
import type { TaskId } from '@helixcode/protocol/ids';
import { continueElsewhere } from './continue-elsewhere.ts';
import { listAttemptsOn, waivePause } from './silence-sql.ts';
import type { TaskRow } from './task-row.ts';
import { getTask } from './task-sql.ts';
import { goOn, type SilenceContext } from './watch-silence.ts';

/**
 * Lets a tree go on although a critical part of it is out of reach.
 *
 * @param elsewhere whether the critical part starts on another worker, too; else it goes on being waited for
 * @throws CodedError `task.move_refused` when nothing of it waits for a worker
 */
export async function resumeTask(context: SilenceContext, id: TaskId, elsewhere: boolean): Promise<TaskRow> {
  const { db, pool } = context;
  const task = await getTask(db, id);
  const root = await getTask(db, task.root_id);
  const silent = pool.workers().filter((worker) => pool.silentMs(worker.id) > 0);
  const critical = (
    await listAttemptsOn(
      db,
      silent.map((worker) => worker.id),
    )
  ).filter((attempt) => attempt.root_id === root.id && attempt.policy.critical);
  if (root.state !== 'paused' && !(elsewhere && critical.length > 0))
    throw new CodedError('task.move_refused', `${task.name} (${id}) is ${task.state} and waits for no worker`, {
      next: `helix tasks show ${id}`,
    });
  await db.tx(async (tx) => {
    await waivePause(
      tx,
      critical.map((attempt) => attempt.id),
    );
    await goOn(tx, context, root.id, elsewhere ? 'somebody let it go on elsewhere' : 'somebody let it go on');
    if (!elsewhere) return;
    for (const attempt of critical)
      await continueElsewhere(tx, context, attempt, `somebody decided not to wait for ${context.nameOfWorker(attempt.worker_id)}`);
  });
  return getTask(db, id);
}
