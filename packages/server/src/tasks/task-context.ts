import type { ServerId, TaskId } from '@helixcode/protocol/ids';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';
import type { LeafTimes } from './leaf-times.ts';

/** What the things that can happen to tasks need from around them. */
export interface TaskContext {
  db: Db;
  serverId: ServerId;
  pool: WorkerPool;
  leafTimes: LeafTimes;
  log: Logger;
  /** Looks for work to place, soon. */
  wakePlacement(): void;
  /** Makes the driver of a task look at it, soon. @param ended how many subtasks have ended, where that is all that happened */
  wakeDriver(task: TaskId, ended?: number): void;
  /** Tells those who follow the event log that a transaction with events has committed. */
  wakeEvents(): void;
  /** Largest stdout or stderr of one job. */
  outputLimitBytes: number;
}

/** Names a driver of the durable engine: each round of a task (a retry begins a new one) has its own. */
export function driverId(task: TaskId, round: number): string {
  return `${task}.${round}`;
}

/** How long a cancelled job has between TERM and KILL. */
export const CANCEL_GRACE_MS = 5_000;
