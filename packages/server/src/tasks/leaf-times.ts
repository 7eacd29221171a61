import type { TaskId } from '@helixcode/protocol/ids';

/** How much of an older mean one new time replaces: a slow leaf shows at once, and is forgotten after some fast ones. */
const NEWEST_PART = 0.2;
/** Parents remembered; those that nothing was heard of for longest go first. */
const MOST_PARENTS = 1_000;

/** How long the leaves of each parent have taken lately: siblings tend to take alike. Kept in memory, for it only saves time. */
export interface LeafTimes {
  note(parent: TaskId, wallMs: number): void;
  /** @returns milliseconds; `undefined` before the first leaf of this parent has ended */
  meanMs(parent: TaskId): number | undefined;
}

export function createLeafTimes(): LeafTimes {
  const means = new Map<TaskId, number>();
  return {
    note(parent, wallMs) {
      const before = means.get(parent);
      // Set anew so that the map keeps the order of the last news.
      means.delete(parent);
      means.set(parent, before === undefined ? wallMs : before + NEWEST_PART * (wallMs - before));
      const oldest = means.keys().next().value;
      if (means.size > MOST_PARENTS && oldest !== undefined) means.delete(oldest);
    },
    meanMs: (parent) => means.get(parent),
  };
}
