import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import type { JobBook, JobOrder } from '@helixcode/server/workers/job-book';

interface MemoryAttempt {
  worker: WorkerId;
  spec: JobSpec;
  report: JobReport | undefined;
  cancelAsked: boolean;
  isComplete: boolean;
  /** Pieces by stream, in the order of their offsets. */
  streams: Map<string, Buffer[]>;
}

export interface MemoryBook extends JobBook {
  readonly attempts: Map<AttemptId, MemoryAttempt>;
  want(worker: WorkerId, attempt: AttemptId, spec: JobSpec): void;
  outputOf(attempt: AttemptId, stream?: string): Buffer;
  /** Resolves when the outcome and all output of the attempt are on the books. */
  whenComplete(attempt: AttemptId): Promise<JobReport>;
  /** Resolves when at least this much of a stream is stored. */
  whenStored(attempt: AttemptId, bytes: number): Promise<void>;
}

/** The books of attempts in memory, strict about what may be stored: no gap, no byte twice. */
export function givenMemoryBook(): MemoryBook {
  const attempts = new Map<AttemptId, MemoryAttempt>();
  const watchers = new Set<() => void>();
  const changed = (): void => {
    for (const watch of [...watchers]) watch();
  };
  const until = <T>(look: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const watch = (): void => {
        const found = look();
        if (found === undefined) return;
        watchers.delete(watch);
        resolve(found);
      };
      watchers.add(watch);
      watch();
    });
  const stored = (attempt: MemoryAttempt | undefined, stream: string): number =>
    (attempt?.streams.get(stream) ?? []).reduce((sum, piece) => sum + piece.length, 0);

  return {
    attempts,
    want(worker, attempt, spec) {
      attempts.set(attempt, { worker, spec, report: undefined, cancelAsked: false, isComplete: false, streams: new Map() });
    },
    outputOf: (attempt, stream = 'out') => Buffer.concat(attempts.get(attempt)?.streams.get(stream) ?? []),
    whenComplete: (id) =>
      until(() => {
        const attempt = attempts.get(id);
        return attempt?.isComplete ? attempt.report : undefined;
      }),
    whenStored: (id, bytes) => until(() => (stored(attempts.get(id), 'out') >= bytes ? true : undefined)).then(() => {}),

    wantedJobs: async (worker) =>
      [...attempts].flatMap(([attempt, { worker: of, spec, cancelAsked, isComplete, report }]) =>
        of === worker && !isComplete ? [{ attempt, spec, cancelAsked, hasStarted: report !== undefined }] : [],
      ),
    takeRouted: async () => ({ assign: [], cancel: [] }),
    secretsOf: async () => ({}),

    async takeReports(_worker, reports) {
      const orders = reports.map((report): JobOrder => {
        const id = report.attempt as AttemptId;
        const attempt = attempts.get(id);
        if (!attempt || attempt.isComplete)
          return { attempt: id, cancel: !isOver(report.state), collect: [], forget: isOver(report.state) };
        if (!attempt.report || !isOver(attempt.report.state)) attempt.report = report;
        const lengths = isOver(report.state) ? report.streams : { out: Infinity, err: Infinity, ...report.streams };
        const collect = Object.entries(lengths)
          .map(([stream, length]) => ({ stream, from: stored(attempt, stream), length }))
          .filter(({ from, length }) => from < length || (report.state === 'running' && length === 0));
        attempt.isComplete = isOver(report.state) && collect.length === 0;
        return {
          attempt: id,
          cancel: attempt.cancelAsked && !isOver(report.state),
          forget: attempt.isComplete,
          collect: collect.map(({ stream, from }) => ({ stream, from })),
        };
      });
      changed();
      return orders;
    },

    async storeOutput(pieces) {
      for (const piece of pieces) {
        const attempt = attempts.get(piece.attempt);
        if (!attempt) continue;
        const at = stored(attempt, piece.stream);
        if (piece.offset !== at) throw new Error(`${piece.stream} of ${piece.attempt}: byte ${piece.offset} came when ${at} was next`);
        attempt.streams.set(piece.stream, [...(attempt.streams.get(piece.stream) ?? []), Buffer.from(piece.bytes)]);
      }
      changed();
    },
  };
}
