import type { JobFolder } from './job-folder.ts';

/** So many folders wait at most, each of some 40 kB. */
const MOST_WAITING = 4_000;
/** Deleted between two looks at whether work has come. */
const AT_ONCE = 20;

/**
 * Folders of forgotten jobs. Small ones wait until the machine has nothing to do: deleting costs as much as a short job,
 * and ext4 searches the longer for a free inode the more were given back within the last minute.
 */
export class FolderBin {
  readonly #isIdle: () => boolean;
  readonly #log: (line: string) => void;
  readonly #waiting = new Map<string, JobFolder>();
  readonly #removals = new Map<string, Promise<void>>();
  #isEmptying = false;

  /** @param isIdle whether nothing runs that deleting would slow down */
  constructor(isIdle: () => boolean, log: (line: string) => void) {
    this.#isIdle = isIdle;
    this.#log = log;
  }

  /** From now on the folder is no job's; what it holds is deleted by and by. */
  put(folder: JobFolder): void {
    folder.disown();
    if (this.#waiting.size < MOST_WAITING && folder.isSmall()) this.#waiting.set(folder.attempt, folder);
    else void this.#remove(folder);
  }

  /** @returns when nothing of the attempt's folder is left; `undefined` when nothing is */
  whenGone(attempt: string): Promise<void> | undefined {
    const waiting = this.#waiting.get(attempt);
    return waiting ? this.#remove(waiting) : this.#removals.get(attempt);
  }

  /** Deletes what waits while nothing runs. */
  async emptyWhileIdle(): Promise<void> {
    if (this.#isEmptying) return;
    this.#isEmptying = true;
    try {
      while (this.#waiting.size > 0 && this.#isIdle()) {
        await Promise.all([...this.#waiting.values()].slice(0, AT_ONCE).map((folder) => this.#remove(folder)));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#isEmptying = false;
    }
  }

  /** Deletes all that waits, whatever runs: the disk is full, or this is the end. */
  async empty(): Promise<void> {
    await Promise.all([...this.#waiting.values()].map((folder) => this.#remove(folder)));
  }

  #remove(folder: JobFolder): Promise<void> {
    this.#waiting.delete(folder.attempt);
    const removal = folder.remove().catch((error: unknown) => this.#log(`${folder.path} could not be deleted: ${String(error)}`));
    this.#removals.set(folder.attempt, removal);
    return removal.then(() => {
      if (this.#removals.get(folder.attempt) === removal) this.#removals.delete(folder.attempt);
    });
  }
}
