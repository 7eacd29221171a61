import type { AttemptId, ServerId, WorkerId } from '@helixcode/protocol/ids';
import type { WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import type { SnapshotOrder } from '@helixcode/protocol/worker/checkpoint';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { WorkerAdmission, WorkerState } from '@helixcode/protocol/worker/worker-state';
import type { WorkspaceOp, WorkspaceReply } from '@helixcode/protocol/worker/workspace';

/** A worker as placement sees it, whichever server has its link. */
export interface PoolWorker {
  id: WorkerId;
  name: string;
  state: WorkerState;
  admission: WorkerAdmission;
  slots: number;
  labels: ReadonlySet<string>;
  load: WorkerLoad | undefined;
  /** Projects with a checkout there. */
  warmProjects: ReadonlySet<string>;
}

/** What came of work in a checkout. */
export interface WorkDone {
  reply: WorkspaceReply;
  /** It was asked for more than once: what it changes may have been changed by an earlier time. */
  isRepeated: boolean;
}

/** What the tasks ask of the workers, of all servers. */
export interface WorkerPool {
  /** All workers that are not removed, whatever their state. */
  workers(): PoolWorker[];
  /** Another server that holds the link of the worker, or should; `undefined`: this one does, or nobody. */
  holderOf(worker: WorkerId): ServerId | undefined;
  /** Sends the job if the link is up; if not, it is sent by the next link, or by the server that has the link (the book has it). */
  assign(worker: WorkerId, attempt: AttemptId, spec: JobSpec, secrets: Record<string, string>): void;
  /** Asks the worker to stop the job; safe to repeat. */
  cancel(worker: WorkerId, attempt: AttemptId, graceMs: number): void;
  /** Asks for a checkpoint of a running job. @returns what resolves when the link it was asked over is over; `undefined` where there is none */
  checkpoint(worker: WorkerId, attempt: AttemptId, order: SnapshotOrder): Promise<void> | undefined;
  /**
   * Asks for work in the checkout of a running job, over whichever link and server reaches the worker, and again when that
   * breaks on the way: all of it may be asked for more than once.
   *
   * @param signal ends the asking; what was begun goes on
   * @throws CodedError `workspace.gone` when the attempt is not wanted of the worker any more
   */
  work(worker: WorkerId, attempt: AttemptId, op: WorkspaceOp, signal?: AbortSignal): Promise<WorkDone>;
  /** How long nothing has been heard of a worker in milliseconds: 0 while it has a link, and for one that was removed. */
  silentMs(worker: WorkerId): number;
  /** Called on every change of a worker that may let work be placed (it is up, is opened); ends of jobs are told by the books. */
  onChange(listener: () => void): void;
}
