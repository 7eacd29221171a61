import type { Readable } from 'node:stream';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, ServerId, WorkerId } from '@helixcode/protocol/ids';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';

/** An attempt that a worker should know of, as the database has it. */
export interface WantedJob {
  attempt: AttemptId;
  spec: JobSpec;
  /** Cancelled on the server, not yet confirmed by the worker. */
  cancelAsked: boolean;
  /** The worker has reported it before: where the worker no longer knows it, it is lost and must not be sent again. */
  hasStarted: boolean;
}

/** What another server has written down for a worker whose link is here. */
export interface RoutedOrders {
  assign: { worker: WorkerId; attempt: AttemptId; spec: JobSpec }[];
  cancel: { worker: WorkerId; attempt: AttemptId }[];
}

export interface OutputPiece {
  attempt: AttemptId;
  stream: string;
  offset: number;
  bytes: Uint8Array;
}

/**
 * Where the books of attempts are kept: what the worker link needs from the tasks above it. Every promise resolves
 * after the database has committed.
 */
export interface JobBook {
  /** Attempts assigned to the worker that are not complete: sent again after each new link. */
  wantedJobs(worker: WorkerId): Promise<WantedJob[]>;
  /** Takes what other servers have placed on workers of this one; nobody gets an assignment again. */
  takeRouted(server: ServerId): Promise<RoutedOrders>;
  /**
   * Takes the worker's news. Repeats and late reports are harmless.
   * @returns `collect`: streams whose bytes are still to be fetched, with the offset stored so far; `forget`: the
   *   outcome and all output are stored (or nobody wants them), so the worker may delete the job
   */
  takeReports(worker: WorkerId, reports: JobReport[]): Promise<JobOrder[]>;
  /** Stores output; resolves when it may be acknowledged. Pieces already stored are skipped. */
  storeOutput(pieces: OutputPiece[]): Promise<void>;
  /** The environment secrets of an attempt; never stored with its spec. */
  secretsOf(attempt: AttemptId): Promise<Record<string, string>>;
}

export interface JobOrder {
  attempt: AttemptId;
  /** Nobody wants this attempt any more (it was replaced or cancelled): stop it if it still runs. */
  cancel: boolean;
  collect: { stream: string; from: number }[];
  forget: boolean;
}

/** Byte services that a worker may reach through its own link. */
export interface WorkerServices {
  /** Runs `git upload-pack` for a project; the worker's bytes go to `input`, git's answer comes from `output`. */
  openUploadPack(project: string): Promise<{ input: NodeJS.WritableStream; output: NodeJS.ReadableStream; close(): void }>;
  /** @returns `undefined` when nobody has the blob and the asker should produce it (others who ask wait for it) */
  readBlob(key: string, worker: WorkerId, signal: AbortSignal): Promise<NodeJS.ReadableStream | undefined>;
  /** Takes a checkpoint: a line with its header, then the bundle. Resolves when it is kept. */
  storeCheckpoint(attempt: AttemptId, worker: WorkerId, content: Readable): Promise<void>;
  /** A checkpoint that was asked for will not come. */
  missCheckpoint(request: string, reason: ErrorFact): void;
  /** Stores the stream under the key; atomic, and a second writer of the same key is harmless. */
  writeBlob(key: string, worker: WorkerId, content: NodeJS.ReadableStream): Promise<void>;
}
