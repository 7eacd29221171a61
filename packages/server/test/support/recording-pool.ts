import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { PoolWorker, WorkerPool } from '@helixcode/server/workers/worker-pool';

/** A pool whose workers do nothing by themselves: the test sees what they are asked and reports in their name. */
export interface RecordingPool extends WorkerPool {
  readonly assigned: { worker: WorkerId; attempt: AttemptId; spec: JobSpec }[];
  /** Silence of workers in milliseconds, as the test says. */
  readonly silent: Map<WorkerId, number>;
  readonly cancelled: { worker: WorkerId; attempt: AttemptId }[];
  /** Resolves with the next job that is assigned, or has been and was not taken yet. */
  nextAssigned(): Promise<{ worker: WorkerId; attempt: AttemptId; spec: JobSpec }>;
  set(workers: PoolWorker[]): void;
}

export function givenRecordingPool(): RecordingPool {
  let workers: PoolWorker[] = [];
  const listeners: (() => void)[] = [];
  const waiting: (() => void)[] = [];
  let taken = 0;
  const pool: RecordingPool = {
    assigned: [],
    cancelled: [],
    workers: () => workers,
    holderOf: () => undefined,
    assign(worker, attempt, spec) {
      pool.assigned.push({ worker, attempt, spec });
      for (const wake of waiting.splice(0)) wake();
    },
    cancel: (worker, attempt) => void pool.cancelled.push({ worker, attempt }),
    checkpoint: () => undefined,
    work: () => Promise.reject(new Error('no work in checkouts was expected')),
    silentMs: (worker) => pool.silent.get(worker) ?? 0,
    silent: new Map(),
    onChange: (listener) => void listeners.push(listener),
    async nextAssigned() {
      while (pool.assigned.length <= taken) await new Promise<void>((resolve) => waiting.push(resolve));
      const next = pool.assigned[taken++];
      if (!next) throw new Error('an assigned job vanished');
      return next;
    },
    set(next) {
      workers = next;
      for (const listener of listeners) listener();
    },
  };
  return pool;
}
