import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { JobReport } from '@helixcode/protocol/worker/job';
import { createBatchWriter } from '../db/batch-writer.ts';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import type { JobBook, JobOrder, OutputPiece } from '../workers/job-book.ts';
import {
  type AttemptStanding,
  completeAttempts,
  endRouting,
  insertOutput,
  listCancelsFor,
  listWantedJobs,
  loseAttempts,
  type MovedAttempt,
  readStandings,
  takeReports,
  takeRoutedAttempts,
} from './attempt-sql.ts';
import { readmit } from './continue-elsewhere.ts';
import { settleAttempts } from './settle-attempts.ts';
import type { TaskContext } from './task-context.ts';

/** Writes wait for each other at most this long to share a commit; when nothing else is under way, not at all. */
const BATCH_WINDOW_MS = 50;
const REPORTS_AT_ONCE = 500;

/** The books of attempts over the database: what workers report becomes states, output and outcomes. */
export function openAttemptBook(
  context: TaskContext & { nameOfWorker(id: WorkerId): string },
): JobBook & { loseWorker(worker: WorkerId, reason: ErrorFact): Promise<void>; drain(): Promise<void> } {
  const orders = new WeakMap<JobReport, JobOrder>();
  const reportBatch = createBatchWriter<JobReport>({
    windowMs: BATCH_WINDOW_MS,
    maxItems: REPORTS_AT_ONCE,
    flush: async (reports) => {
      for (const [report, order] of await takeReportsOnce(context, reports)) orders.set(report, order);
    },
  });

  return {
    async wantedJobs(worker) {
      await endRouting(context.db, worker);
      return listWantedJobs(context.db, worker);
    },

    async takeRouted(server) {
      const [assign, cancel] = await Promise.all([takeRoutedAttempts(context.db, server), listCancelsFor(context.db, server)]);
      return { assign, cancel };
    },

    async takeReports(_worker, reports) {
      await Promise.all(reports.map((report) => reportBatch.add(report)));
      return reports.flatMap((report) => orders.get(report) ?? []);
    },

    storeOutput: (pieces: OutputPiece[]) => insertOutput(context.db, pieces),

    secretsOf: async () => ({}),

    async loseWorker(worker, reason) {
      await context.db.tx(async (tx) => {
        const lost = await loseAttempts(tx, worker, reason);
        await settleAttempts(tx, context, lost);
        tx.afterCommit(context.wakeEvents);
      });
    },

    drain: () => reportBatch.drain(),
  };
}

async function takeReportsOnce(
  context: TaskContext & { nameOfWorker(id: WorkerId): string },
  reports: JobReport[],
): Promise<Map<JobReport, JobOrder>> {
  // Of several reports about one attempt the last is the newest; the others need no order of their own.
  const newest = new Map(reports.map((report) => [report.attempt as AttemptId, report]));
  const standings = await context.db.tx(async (tx) => {
    const pieces = reports.flatMap(inlinePieces);
    if (pieces.length > 0) await insertOutput(tx, pieces);
    const moved = await takeReports(
      tx,
      [...newest.values()].map(({ inline: _, ...report }) => report),
    );
    // Most are complete with their report: what is left is what has just begun, or has more to fetch.
    const finished = moved.filter((attempt) => attempt.is_complete);
    const finishedIds = new Set(finished.map((attempt) => attempt.id));
    const open = [...newest.keys()].filter((id) => !finishedIds.has(id));
    const standings = open.length > 0 ? await readStandings(tx, open) : [];
    for (const row of standings) if (isBack(row)) await readmit(tx, context, row);
    const complete = standings.filter((row) => !row.is_complete && isOver(row.state) && isStored(row)).map((row) => row.id);
    const closed = complete.length > 0 ? await completeAttempts(tx, complete) : [];
    // A job that is over holds no slot, even while its output is still being fetched.
    if (moved.some((attempt) => isOver(attempt.state))) tx.afterCommit(context.wakePlacement);
    if (moved.length > 0)
      await appendEvents(
        tx,
        moved.map((attempt) => toEvent(attempt, context.nameOfWorker(attempt.worker_id))),
      );
    await settleAttempts(tx, context, [...finished, ...closed]);
    tx.afterCommit(context.wakeEvents);
    const closedIds = new Set(closed.map((attempt) => attempt.id));
    return standings.map((row) => (closedIds.has(row.id) ? { ...row, is_complete: true } : row));
  });

  const standingById = new Map(standings.map((row) => [row.id, row]));
  return new Map(reports.map((report) => [report, toOrder(report, standingById.get(report.attempt as AttemptId))]));
}

/** Whole short streams that came with the report; what is stored of them already stays as it is. */
function inlinePieces(report: JobReport): OutputPiece[] {
  return Object.entries(report.inline ?? {}).map(([stream, base64]) => ({
    attempt: report.attempt as AttemptId,
    stream,
    offset: 0,
    bytes: Buffer.from(base64, 'base64'),
  }));
}

/** Its worker was given up and has come back with it; that it is lost is no news. */
function isBack(attempt: AttemptStanding): boolean {
  return (
    attempt.fenced?.code === 'job.lost' &&
    !attempt.is_complete &&
    !attempt.cancel_asked &&
    attempt.state !== 'lost' &&
    attempt.state !== 'refused'
  );
}

function isStored(attempt: AttemptStanding): boolean {
  return Object.entries(attempt.streams).every(([stream, length]) => (attempt.stored[stream] ?? 0) >= length);
}

function toOrder(report: JobReport, standing: AttemptStanding | undefined): JobOrder {
  const attempt = report.attempt as AttemptId;
  // Complete, unknown here, or closed without this worker's word: nobody waits for it.
  if (!standing || standing.is_complete) return { attempt, collect: [], cancel: !isOver(report.state), forget: isOver(report.state) };
  const isRunning = !isOver(report.state);
  const streams = isRunning ? { out: 0, err: 0, ...report.streams } : report.streams;
  const collect = Object.entries(streams)
    .map(([stream, length]) => ({ stream, from: standing.stored[stream] ?? 0, length }))
    .filter((row) => (isRunning && report.state === 'running') || row.from < row.length)
    .map(({ stream, from }) => ({ stream, from }));
  return { attempt, collect, cancel: standing.cancel_asked && isRunning, forget: false };
}

function toEvent(attempt: MovedAttempt, workerName: string): NewEvent {
  return {
    root: attempt.root_id,
    task: attempt.task_id,
    worker: attempt.worker_id,
    body: {
      type: 'attempt.moved',
      attempt: attempt.id,
      number: attempt.number,
      worker: workerName,
      to: attempt.state,
      ...(attempt.exit_code !== null && { exitCode: attempt.exit_code }),
      ...(attempt.reason && { reason: attempt.reason }),
    },
  };
}
