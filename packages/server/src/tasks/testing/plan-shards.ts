/** A unit with what is known of its cost. */
export interface PlannedUnit {
  unit: string;
  /** How long it took before, in milliseconds; `undefined` for one that never ran. */
  expectedMs?: number | undefined;
  /** Size of its file: where no unit has ever been timed, the only hint of which is long. */
  sizeBytes?: number | undefined;
}

export interface Shard {
  units: string[];
  /** Sum over its units, without the cost of starting it. */
  expectedMs: number;
}

export interface ShardPlan {
  units: readonly PlannedUnit[];
  /** Shards that can run at once. */
  slots: number;
  /** What it costs to start a shard, whatever is in it, in milliseconds. */
  fixedMs: number;
}

/** What a unit is taken to need while nothing of the suite has been timed. */
const assumedUnitMs = 1_000;
/** Smallest shards that are tried, as parts of one slot's share of the whole. */
const SMALLEST_PARTS = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64];
/** How much of one slot's share of the remaining work a shard takes: all that is tried. */
const TAKEN_SHARES = [1, 0.9, 0.8, 0.65, 0.5];
/**
 * How far real times are taken to lie from the expected ones, when plans are compared: for each unit by itself, which
 * evens out within a shard, and for a shard as a whole, since workers differ in speed. Sizes of files say much less
 * than earlier times.
 */
const TIMED = { unitError: 0.3, shardError: 0.1 };
const UNTIMED = { unitError: 0.8, shardError: 0.4 };
const trials = 16;

/**
 * Divides a suite into shards, in the order in which to start them: each free slot takes the next one.
 *
 * Guided self-scheduling over the units from longest to shortest: a shard takes up to a part of what would be one
 * slot's share of the remaining work, so that shards shrink towards the end and even out what the estimates got wrong.
 * How fast and how far they shrink is a trade against the cost of starting each; it is settled by playing candidates
 * through with estimates that are wrong and taking the one that costs least (with fewer shards, within 0.5 %).
 *
 * @see Polychronopoulos & Kuck, Guided Self-Scheduling, IEEE Transactions on Computers C-36 (1987)
 */
export function planShards({ units, slots, fixedMs }: ShardPlan): Shard[] {
  const weighed = weigh(units).sort((a, b) => b.expectedMs - a.expectedMs || (a.unit < b.unit ? -1 : 1));
  const totalMs = weighed.reduce((sum, one) => sum + one.expectedMs, 0);
  const atOnce = Math.max(1, Math.floor(slots));
  const errors = units.some(({ expectedMs }) => expectedMs !== undefined) ? TIMED : UNTIMED;
  let best: { shards: Shard[]; costMs: number } | undefined;
  const candidates = SMALLEST_PARTS.flatMap((part) =>
    TAKEN_SHARES.map((taken) => guidedShards(weighed, totalMs, atOnce, taken, (part * totalMs) / atOnce)),
  );
  for (const shards of candidates.sort((a, b) => a.length - b.length)) {
    const costMs = expectedCostMs(shards, atOnce, fixedMs, errors);
    if (!best || costMs < best.costMs * 0.995) best = { shards, costMs };
  }
  return best?.shards ?? [];
}

interface WeighedUnit {
  unit: string;
  expectedMs: number;
}

/** Units never timed count as the median of the others; where none was, as their file's size among the sizes. */
function weigh(units: readonly PlannedUnit[]): WeighedUnit[] {
  const known = units.flatMap(({ expectedMs }) => (expectedMs === undefined ? [] : [Math.max(0, expectedMs)]));
  const medianMs = median(known);
  const medianBytes = median(units.flatMap(({ sizeBytes }) => (sizeBytes === undefined || sizeBytes <= 0 ? [] : [sizeBytes])));
  return units.map(({ unit, expectedMs, sizeBytes }) => {
    if (expectedMs !== undefined) return { unit, expectedMs: Math.max(0, expectedMs) };
    if (medianMs !== undefined) return { unit, expectedMs: medianMs };
    const share = medianBytes === undefined || sizeBytes === undefined ? 1 : Math.max(0.1, sizeBytes / medianBytes);
    return { unit, expectedMs: assumedUnitMs * share };
  });
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** @param units from longest to shortest */
function guidedShards(units: readonly WeighedUnit[], totalMs: number, slots: number, taken: number, smallestMs: number): Shard[] {
  const left = [...units];
  const shards: Shard[] = [];
  let leftMs = totalMs;
  while (left.length > 0) {
    const targetMs = Math.max(smallestMs, (taken * leftMs) / slots) * 1.001;
    const shard: Shard = { units: [], expectedMs: 0 };
    // The longest that is left, and then always the longest that still fits.
    for (let at = 0; at < left.length; at = firstNotAbove(left, at, targetMs - shard.expectedMs)) {
      const [unit] = left.splice(at, 1);
      if (!unit) break;
      shard.units.push(unit.unit);
      shard.expectedMs += unit.expectedMs;
    }
    leftMs -= shard.expectedMs;
    shards.push(shard);
  }
  return shards.sort((a, b) => b.expectedMs - a.expectedMs);
}

/** The first place from `from` on whose unit takes at most `ms`, in a list from longest to shortest. */
function firstNotAbove(units: readonly WeighedUnit[], from: number, ms: number): number {
  let [low, high] = [from, units.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((units[middle]?.expectedMs ?? 0) > ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Wall time plus what a slot stands idle in it, in the mean over trials in which each shard takes more or less than
 * expected, evenly spread within the errors. A start of a shard is paid once in this, waiting for the last one twice:
 * idle slots are lost to other suites too.
 */
function expectedCostMs(shards: readonly Shard[], slots: number, fixedMs: number, errors: typeof TIMED): number {
  let sumMs = 0;
  for (let trial = 0; trial < trials; trial += 1) {
    let seed = trial * 7919 + 1;
    const jobsMs = shards.map((shard) => {
      // A fixed sequence (Park & Miller), so that the same suite always gets the same plan.
      seed = (seed * 48_271) % 2_147_483_647;
      const off = errors.shardError + errors.unitError / Math.sqrt(shard.units.length);
      return fixedMs + shard.expectedMs * (1 + off * ((2 * seed) / 2_147_483_647 - 1));
    });
    const busyMs = jobsMs.reduce((sum, jobMs) => sum + jobMs, 0);
    sumMs += 2 * listScheduleMs(jobsMs, slots) - busyMs / slots;
  }
  return sumMs / trials;
}

/** Wall time when each free slot takes the next job of the list. */
export function listScheduleMs(jobsMs: readonly number[], slots: number): number {
  // A binary heap of the times at which slots become free.
  const free: number[] = new Array<number>(Math.min(slots, Math.max(1, jobsMs.length))).fill(0);
  let wallMs = 0;
  for (const jobMs of jobsMs) {
    const endMs = (free[0] ?? 0) + jobMs;
    wallMs = Math.max(wallMs, endMs);
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const child = (free[left + 1] ?? Number.POSITIVE_INFINITY) < (free[left] ?? Number.POSITIVE_INFINITY) ? left + 1 : left;
      const childMs = free[child];
      if (childMs === undefined || childMs >= endMs) break;
      free[at] = childMs;
      at = child;
    }
    free[at] = endMs;
  }
  return wallMs;
}
