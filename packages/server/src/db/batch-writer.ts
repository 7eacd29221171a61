export interface BatchWriterOptions<T> {
  /** Writes the items, in the order they were added, in one go. What it rejects with, their adders get. */
  flush(items: T[]): Promise<void>;
  /** The least time between the beginnings of two writes, unless a full batch is waiting. */
  windowMs: number;
  /** The most items of one write. */
  maxItems: number;
}

export interface BatchWriter<T> {
  /** Resolves when the item is written, rejects when its write failed. Awaiting it is what keeps the queue short. */
  add(item: T): Promise<void>;
  /** Writes what waits without waiting for the window; resolves when nothing is left, also where writes failed. */
  drain(): Promise<void>;
}

/**
 * Gathers single writes into few large ones: a row at a time costs a commit each, and commits are what a database has
 * fewest of. After a quiet `windowMs` an item is written at once, so that a lone one does not wait.
 */
export function createBatchWriter<T>(options: BatchWriterOptions<T>): BatchWriter<T> {
  interface Waiting {
    item: T;
    resolve: () => void;
    reject: (error: unknown) => void;
  }
  const waiting: Waiting[] = [];
  let isFlushing = false;
  let isDraining = false;
  let isScheduled = false;
  let timer: NodeJS.Timeout | undefined;
  let lastStartMs = Number.NEGATIVE_INFINITY;
  let idle: PromiseWithResolvers<void> | undefined;

  const consider = (): void => {
    if (isFlushing || isScheduled) return;
    if (waiting.length === 0) {
      isDraining = false;
      idle?.resolve();
      idle = undefined;
      return;
    }
    const waitMs = lastStartMs + options.windowMs - performance.now();
    if (isDraining || waiting.length >= options.maxItems || waitMs <= 0) {
      // Not in this very call: what the caller adds in the same turn belongs to the same write.
      isScheduled = true;
      clearTimeout(timer);
      timer = undefined;
      queueMicrotask(() => {
        isScheduled = false;
        void flushOnce();
      });
      return;
    }
    timer ??= setTimeout(() => {
      timer = undefined;
      consider();
    }, waitMs);
  };

  const flushOnce = async (): Promise<void> => {
    const batch = waiting.splice(0, options.maxItems);
    isFlushing = true;
    lastStartMs = performance.now();
    try {
      await options.flush(batch.map(({ item }) => item));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      isFlushing = false;
      consider();
    }
  };

  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        consider();
      }),

    drain() {
      if (waiting.length === 0 && !isFlushing && !isScheduled) return Promise.resolve();
      idle ??= Promise.withResolvers();
      const { promise } = idle;
      isDraining = true;
      consider();
      return promise;
    },
  };
}
