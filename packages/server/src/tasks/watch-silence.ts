import type { TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { continueElsewhere } from './continue-elsewhere.ts';
import { type AttemptOnWorker, askPause, endWaivers, listAttemptsOn, listPausedRoots, pauseWaiting, resumeTree } from './silence-sql.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import { lockTask } from './task-sql.ts';

const SWEEP_MS = 250;
/** A link that breaks is mostly back within this time: nothing is paused for it. */
const PAUSE_AFTER_MS = 1_000;

export type SilenceContext = TaskContext & {
  nameOfWorker(id: WorkerId): string;
  /** Silence after which a task without a limit of its own starts elsewhere. */
  lostAfterMs: number;
};

/**
 * Watches workers that are out of reach: what ran there starts elsewhere when its time is up, and a tree with a critical
 * part there is paused until the worker is back, its grace is over, or a person decides.
 */
export function watchSilence(context: SilenceContext & { isFirst(): boolean }): { wake(): void; stop(): Promise<void> } {
  /** Whether the last look found something to watch; the first look is always made. */
  let isWatching = true;
  let looking: Promise<void> | undefined;

  const look = (): void => {
    if (!context.isFirst()) {
      isWatching = true;
      return;
    }
    const silent = context.pool.workers().filter((worker) => context.pool.silentMs(worker.id) > 0);
    if (looking || (!isWatching && silent.length === 0)) return;
    looking = lookOnce(
      context,
      silent.map((worker) => worker.id),
    )
      .then((hasPaused) => {
        isWatching = silent.length > 0 || hasPaused;
      })
      .catch((error: unknown) => context.log.warn({ err: error }, 'silent workers could not be looked after and will be again'))
      .finally(() => {
        looking = undefined;
      });
  };
  const timer = setInterval(look, SWEEP_MS);
  return {
    wake: look,
    async stop() {
      clearInterval(timer);
      await looking;
    },
  };
}

/** @returns whether trees are paused */
async function lookOnce(context: SilenceContext, silent: WorkerId[]): Promise<boolean> {
  const { db, pool } = context;
  await endWaivers(db, silent);
  const waiting = new Set<TaskId>();
  for (const attempt of silent.length > 0 ? await listAttemptsOn(db, silent) : []) {
    const silentMs = pool.silentMs(attempt.worker_id);
    if (silentMs === 0) continue;
    const { critical, graceMs, replace, lostAfterMs = context.lostAfterMs } = attempt.policy;
    // A task of an earlier release says nothing of `replace`: it was replaced.
    const limitMs = critical ? graceMs : replace === false ? undefined : lostAfterMs;
    if (limitMs !== undefined && silentMs >= limitMs) {
      const why = `${context.nameOfWorker(attempt.worker_id)} has been out of reach for ${formatSeconds(silentMs)}`;
      await db.tx((tx) => continueElsewhere(tx, context, attempt, why));
    } else if (critical && !attempt.pause_waived) {
      waiting.add(attempt.root_id);
      if (silentMs >= PAUSE_AFTER_MS) await db.tx((tx) => pauseTree(tx, context, attempt, silent));
    }
  }
  const paused = await listPausedRoots(db);
  for (const root of paused)
    if (!waiting.has(root)) await db.tx((tx) => goOn(tx, context, root, 'no critical part waits for its worker any more'));
  return paused.length > 0;
}

/** Safe to repeat: what has begun to wait since is paused too. */
async function pauseTree(tx: Db, context: SilenceContext, attempt: AttemptOnWorker, silent: WorkerId[]): Promise<void> {
  const { root_id: root, policy } = attempt;
  const ways = policy.graceMs === undefined ? '' : `, after ${formatSeconds(policy.graceMs)}`;
  const reason = `${attempt.name} is critical and its worker ${context.nameOfWorker(attempt.worker_id)} is out of reach; goes on when it is back${ways}, or with: helix tasks resume ${root} [--elsewhere]`;
  await lockTask(tx, root);
  const paused = await pauseWaiting(tx, root, { reason, attempt: attempt.id });
  const stopping = await askPause(tx, root, silent);
  if (paused.length === 0 && stopping.length === 0) return;
  await appendEvents(
    tx,
    paused.map(
      ({ id, from_state }): NewEvent => ({
        root,
        task: id,
        body: { type: 'task.moved', from: from_state, to: 'paused', command: 'pause', reason },
      }),
    ),
  );
  tx.afterCommit(() => {
    for (const { id, worker_id } of stopping) context.pool.cancel(worker_id, id, CANCEL_GRACE_MS);
    context.wakeEvents();
  });
}

/** Ends the pause of a tree. */
export async function goOn(tx: Db, context: TaskContext, root: TaskId, reason: string): Promise<void> {
  await lockTask(tx, root);
  const resumed = await resumeTree(tx, root);
  if (resumed.length === 0) return;
  await appendEvents(
    tx,
    resumed.map(
      ({ id }): NewEvent => ({ root, task: id, body: { type: 'task.moved', from: 'paused', to: 'pending', command: 'resume', reason } }),
    ),
  );
  tx.afterCommit(() => {
    context.wakeDriver(root);
    context.wakePlacement();
    context.wakeEvents();
  });
}

function formatSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
