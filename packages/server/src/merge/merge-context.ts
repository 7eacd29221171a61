import type { MergeEntryId, ProjectId, TaskId } from '@helixcode/protocol/ids';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { Mirrors } from '../projects/mirror.ts';

/** What is to be verified: a try of an entry, merged. */
export interface VerifyRequest {
  entry: MergeEntryId;
  try: number;
  /** For people: what the change is. */
  title: string;
  root: TaskId;
  project: ProjectId;
  commit: string;
  /** Aborted when nobody waits for the verdict any more. */
  signal: AbortSignal;
}

export interface Verdict {
  passed: boolean;
  /** Ids of signed receipts. */
  receipts: string[];
  /** What failed, for the owner of the change; one line when it passed. */
  summary: string;
}

/**
 * Says whether the project is sound at a commit. Asked again for the same try after a crash, it must come to the verdict of the
 * work that it began before, not begin another one.
 */
export type Verify = (request: VerifyRequest) => Promise<Verdict>;

/** What merge queues need from around them. */
export interface MergeContext {
  db: Db;
  mirrors: Mirrors;
  log: Logger;
  verify: Verify;
  /** Tells those who follow the event log that a transaction with events has committed. */
  wakeEvents(): void;
  /** Makes the driver of a task look at it, soon. */
  wakeDriver(task: TaskId): void;
}
