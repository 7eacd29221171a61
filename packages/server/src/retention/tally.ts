import type { GcItem } from '@helixcode/protocol/api/gc-report';
import type { TreeGarbage } from './retention-sql.ts';

/** Adds up what is found of one kind. */
export class Tally {
  #count = 0;
  #bytes: number | undefined;
  #oldest: Date | undefined;

  add(found: { count: number; bytes?: number; oldest?: Date | null }): void {
    this.#count += found.count;
    if (found.bytes !== undefined) this.#bytes = (this.#bytes ?? 0) + found.bytes;
    if (found.oldest && (this.#oldest === undefined || found.oldest < this.#oldest)) this.#oldest = found.oldest;
  }

  addTree(tree: TreeGarbage): void {
    this.add({ count: tree.count, bytes: tree.bytes, oldest: tree.finished_at });
  }

  view(): Omit<GcItem, 'kind' | 'worker'> {
    return {
      count: this.#count,
      ...(this.#bytes !== undefined && { bytes: this.#bytes }),
      ...(this.#oldest && { oldest: this.#oldest.toISOString() }),
    };
  }
}
