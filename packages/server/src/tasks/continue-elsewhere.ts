import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { askCancel, fenceAttempts, loseAttemptsById } from './attempt-sql.ts';
import { settleAttempts } from './settle-attempts.ts';
import { type AttemptOnWorker, unfence } from './silence-sql.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import { lockStandings, lockTask, moveTask } from './task-sql.ts';

type Context = TaskContext & { nameOfWorker(id: WorkerId): string };

/**
 * Gives up waiting for an attempt on a silent worker: it does not count any more, and its task starts elsewhere from its
 * newest checkpoint. A task that must not run again fails instead. Nothing happens where the attempt has ended meanwhile.
 */
export async function continueElsewhere(tx: Db, context: Context, attempt: AttemptOnWorker, why: string): Promise<void> {
  const [leaf] = await lockStandings(tx, [attempt.task_id]);
  if (leaf?.state !== 'running') return;
  const reason: ErrorFact = { code: 'job.lost', message: why };
  if (leaf.lost_tries >= leaf.policy.replaceLost) {
    await settleAttempts(tx, context, await loseAttemptsById(tx, [attempt.id], reason));
    tx.afterCommit(context.wakeEvents);
    return;
  }
  const isStopped = leaf.policy.reconcile === 'keep_replacement';
  const fenced = await fenceAttempts(tx, { tasks: [leaf.id], attempts: [attempt.id] }, reason, isStopped);
  if (fenced.length === 0) return;
  const about = { root: leaf.root_id, task: leaf.id };
  const events: NewEvent[] = [
    {
      ...about,
      worker: attempt.worker_id,
      body: {
        type: 'attempt.fenced',
        attempt: attempt.id,
        number: attempt.number,
        worker: context.nameOfWorker(attempt.worker_id),
        reason,
      },
    },
  ];
  // Where a copy of it is under way elsewhere, that one goes on.
  if (leaf.live <= 1) {
    await moveTask(tx, leaf.id, 'retry', 'pending', {});
    const from = leaf.restore ? `from checkpoint ${leaf.restore.number}` : 'from its beginning';
    events.push({
      ...about,
      body: { type: 'task.moved', from: 'running', to: 'pending', command: 'retry', reason: `${why}; it starts elsewhere ${from}` },
    });
  }
  await appendEvents(tx, events);
  tx.afterCommit(() => {
    context.wakePlacement();
    context.wakeEvents();
  });
}

/**
 * Takes back an attempt whose worker was given up and has come back, as the policy of its task says. Where the task is
 * over the attempt is told to stop.
 */
export async function readmit(tx: Db, context: Context, attempt: Pick<AttemptOnWorker, 'id' | 'task_id'>): Promise<void> {
  const leaf = await lockTask(tx, attempt.task_id);
  if (isSettled(leaf.state)) {
    const losers = await askCancel(tx, [leaf.id], undefined);
    tx.afterCommit(() => {
      for (const { id, worker_id } of losers) context.pool.cancel(worker_id, id, CANCEL_GRACE_MS);
    });
    return;
  }
  if (leaf.state === 'paused') return;
  const row = await unfence(tx, attempt.id);
  if (!row) return;
  const about = { root: leaf.root_id, task: leaf.id };
  const events: NewEvent[] = [
    {
      ...about,
      worker: row.worker_id,
      body: { type: 'attempt.readmitted', attempt: row.id, number: row.number, worker: context.nameOfWorker(row.worker_id) },
    },
  ];
  if (leaf.state === 'pending') {
    await moveTask(tx, leaf.id, 'claim', 'running');
    events.push({ ...about, body: { type: 'task.moved', from: 'pending', to: 'running', command: 'claim', reason: 'its worker is back' } });
  } else if (leaf.policy.reconcile === 'keep_original') {
    const reason: ErrorFact = { code: 'job.replaced', message: `attempt ${row.number} is back and is the one that is kept` };
    const replacements = await fenceOthers(tx, leaf.id, row.id, reason);
    tx.afterCommit(() => {
      for (const { id, worker_id } of replacements) context.pool.cancel(worker_id, id, CANCEL_GRACE_MS);
    });
    for (const { id, number, worker_id } of replacements)
      events.push({
        ...about,
        worker: worker_id,
        body: { type: 'attempt.fenced', attempt: id, number, worker: context.nameOfWorker(worker_id), reason },
      });
  }
  await appendEvents(tx, events);
  tx.afterCommit(context.wakeEvents);
}

async function fenceOthers(tx: Db, task: AttemptOnWorker['task_id'], kept: AttemptId, reason: ErrorFact): ReturnType<typeof fenceAttempts> {
  const others = await askCancel(tx, [task], kept);
  return fenceAttempts(tx, { tasks: [task], attempts: others.map((other) => other.id) }, reason, true);
}
