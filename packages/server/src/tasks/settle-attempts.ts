import { ERROR_CODES, type ErrorFact, isErrorCode } from '@helixcode/protocol/errors';
import type { AttemptId, TaskId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { oweReceipts } from '../receipts/receipt-sql.ts';
import { askCancel } from './attempt-sql.ts';
import { copyPause, listPausedAmong } from './silence-sql.ts';
import { CANCEL_GRACE_MS, type TaskContext } from './task-context.ts';
import type { AttemptRow } from './task-row.ts';
import { BROKEN_LIMITS, type LeafMove, type LeafStanding, lockStandings, type MovedLeaf, moveLeaves } from './task-sql.ts';

const LONGEST_BACKOFF_MS = 600_000;

/** What a leaf becomes now that one of its attempts is over; `undefined`: nothing, another attempt is under way. */
export function judgeAttempt(leaf: LeafStanding, attempt: AttemptRow): Omit<LeafMove, 'id'> | undefined {
  const ran = attempt.state === 'exited' && attempt.reason === null;
  if (ran && (attempt.exit_code === 0 || leaf.policy.acceptExit === 'any')) return { to: 'completed', result: resultOf(attempt) };

  const hasEnded = ran || BROKEN_LIMITS.includes(attempt.reason?.code ?? '');
  if (hasEnded) {
    const failure = failureOf(leaf, attempt);
    if (leaf.failed_tries < leaf.policy.maxAttempts) return { to: 'pending', failure, pauseMs: backoffMs(leaf) };
    return { to: 'failed', failure, result: resultOf(attempt) };
  }

  if (leaf.live > 0) return undefined;
  // It never began: it is as if it had not been placed.
  if (attempt.reason?.code === 'job.recalled') return { to: 'pending' };
  const failure = failureOf(leaf, attempt);
  const mayHelp = isErrorCode(failure.code) ? ERROR_CODES[failure.code].retryable : true;
  if (mayHelp && leaf.lost_tries <= leaf.policy.replaceLost) return { to: 'pending', failure, pauseMs: backoffMs(leaf) };
  return { to: 'failed', failure };
}

/**
 * Takes completed attempts to their tasks, in the transaction in which they were completed: a leaf is done, fails, or
 * is tried again; attempts that raced it are asked to stop. Workers, drivers and placement hear of it after the commit.
 */
export async function settleAttempts(
  tx: Db,
  context: Pick<TaskContext, 'pool' | 'leafTimes' | 'wakeDriver' | 'wakePlacement'>,
  attempts: AttemptRow[],
): Promise<void> {
  if (attempts.length === 0) return;
  tx.afterCommit(context.wakePlacement);
  const leaves = new Map(
    (await lockStandings(tx, [...new Set(attempts.map((attempt) => attempt.task_id))])).map((leaf) => [leaf.id, leaf]),
  );
  const stoppedFor = attempts.filter((attempt) => attempt.pause_asked).flatMap((attempt) => leaves.get(attempt.task_id)?.root_id ?? []);
  const paused = new Set(stoppedFor.length > 0 ? await listPausedAmong(tx, stoppedFor) : []);
  const moves = new Map<TaskId, LeafMove>();
  for (const attempt of attempts) {
    const leaf = leaves.get(attempt.task_id);
    if (leaf?.parent_id && attempt.wall_ms !== null) context.leafTimes.note(leaf.parent_id, attempt.wall_ms);
    // A fenced attempt may end as it likes: its task has gone on without it.
    if (leaf?.state !== 'running' || attempt.fenced || moves.has(leaf.id)) continue;
    const hasStopped = attempt.pause_asked && attempt.state === 'cancelled';
    const judged = hasStopped ? { to: paused.has(leaf.root_id) ? ('paused' as const) : ('pending' as const) } : judgeAttempt(leaf, attempt);
    if (judged) moves.set(leaf.id, { id: leaf.id, ...judged });
  }
  if (moves.size === 0) return;

  const moved = await moveLeaves(tx, [...moves.values()]);
  const stopped = moved.filter((leaf) => leaf.state === 'paused').map((leaf) => leaf.id);
  if (stopped.length > 0) await copyPause(tx, stopped);
  // Parts of a divided task are vouched for with the whole.
  const whole = moved.filter((leaf) => leaf.state === 'completed' && leaves.get(leaf.id)?.is_whole).map((leaf) => leaf.id);
  if (whole.length > 0) await oweReceipts(tx, whole);
  const raced = moved.filter((leaf) => (leaves.get(leaf.id)?.live ?? 0) > 0).map((leaf) => leaf.id);
  const losers = raced.length > 0 ? await askCancel(tx, raced, undefined) : [];
  await appendEvents(tx, moved.map(toEvent));

  tx.afterCommit(() => {
    for (const loser of losers) context.pool.cancel(loser.worker_id, loser.id, CANCEL_GRACE_MS);
    for (const [parent, ended] of Map.groupBy(moved, (leaf) => leaf.parent_id))
      if (parent !== null) context.wakeDriver(parent, ended.length);
  });
}

function toEvent(leaf: MovedLeaf): NewEvent {
  const command = leaf.state === 'completed' ? 'complete' : leaf.state === 'failed' ? 'fail' : leaf.state === 'paused' ? 'pause' : 'retry';
  return {
    root: leaf.root_id,
    task: leaf.id,
    body: { type: 'task.moved', from: 'running', to: leaf.state, command, ...(leaf.failure && { failure: leaf.failure }) },
  };
}

/** What is kept of a leaf's outcome. */
export interface LeafResult {
  exitCode: number | null;
  wallMs: number | null;
  cpuMs: number | null;
  outputsBlob?: string;
  attempt: AttemptId;
}

function resultOf(attempt: AttemptRow): LeafResult {
  return {
    exitCode: attempt.exit_code,
    wallMs: attempt.wall_ms,
    cpuMs: attempt.cpu_ms,
    attempt: attempt.id,
    ...(attempt.outputs_blob !== null && { outputsBlob: attempt.outputs_blob }),
  };
}

function failureOf(leaf: LeafStanding, attempt: AttemptRow): ErrorFact {
  // A worker knows its job, not the task: what to look at is for us to say.
  if (attempt.reason) return { next: nextFor(leaf, attempt.reason), ...attempt.reason };
  if (attempt.state === 'exited')
    return {
      code: 'job.command_failed',
      message: `the command of ${leaf.name} ended with exit status ${attempt.exit_code}`,
      next: `helix tasks logs ${leaf.id}`,
      details: { exitCode: attempt.exit_code },
    };
  return {
    code: 'job.lost',
    message: `the outcome of ${leaf.name} is not known: its worker could not tell how the command ended`,
    next: `helix tasks show ${leaf.root_id}`,
  };
}

function nextFor(leaf: LeafStanding, reason: ErrorFact): string {
  switch (reason.code) {
    case 'workspace.setup_failed':
      return `\`helix tasks show ${leaf.id} --json\` has the end of its output`;
    case 'output.too_large':
      return `\`helix tasks logs ${leaf.id}\` shows what was kept; the limit is logs.outputLimitBytes of the server's helix.json`;
    default:
      return `helix tasks logs ${leaf.id}`;
  }
}

function backoffMs(leaf: LeafStanding): number {
  const tries = Math.max(0, leaf.failed_tries + leaf.lost_tries - 1);
  const pause = Math.min(leaf.policy.backoffMs * 2 ** tries, LONGEST_BACKOFF_MS);
  return pause * (0.8 + Math.random() * 0.4);
}
