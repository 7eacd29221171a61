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
/** How far real times are taken to lie from the expected ones, when plans are compared. */
const estimateError = 0.3;
const trials = 8;

/**
 * Divides a suite into shards, in the order in which to start them: each free slot takes the next one.
 *
 * Guided self-scheduling over the units from longest to shortest: a shard takes up to half of what would be one slot's
 * share of the remaining work, so that shards shrink towards the end and even out what the estimates got wrong. How
 * small they become is a trade against the cost of starting each; it is settled by playing the candidates through with
 * estimates wrong by up to 30 % and taking the one whose wall time is least (the one with fewer shards, within 1 %).
 *
 * @see Polychronopoulos & Kuck, Guided Self-Scheduling, IEEE Transactions on Computers C-36 (1987)
 */
export function planShards({ units, slots, fixedMs }: ShardPlan): Shard[] {
  const weighed = weigh(units).sort((a, b) => b.expectedMs - a.expectedMs || (a.unit < b.unit ? -1 : 1));
  const totalMs = weighed.reduce((sum, one) => sum + one.expectedMs, 0);
  const atOnce = Math.max(1, Math.floor(slots));
  let best: { shards: Shard[]; wallMs: number } | undefined;
  for (const part of SMALLEST_PARTS) {
    const shards = guidedShards(weighed, totalMs, atOnce, (part * totalMs) / atOnce);
    const wallMs = expectedWallMs(shards, atOnce, fixedMs);
    if (!best || wallMs < best.wallMs * 0.99) best = { shards, wallMs };
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

function guidedShards(units: readonly WeighedUnit[], totalMs: number, slots: number, smallestMs: number): Shard[] {
  const shards: Shard[] = [];
  let leftMs = totalMs;
  for (let at = 0; at < units.length; ) {
    const targetMs = Math.max(smallestMs, leftMs / (2 * slots));
    const shard: Shard = { units: [], expectedMs: 0 };
    // Units that cost nothing (a suite never timed in whole milliseconds) are dealt out by number.
    const most = Math.max(1, Math.ceil((units.length - at) / slots));
    for (let next = units[at]; next; next = units[at]) {
      const full = shard.units.length > 0 && (shard.expectedMs + next.expectedMs > targetMs * 1.001 || (totalMs === 0 && shard.units.length >= most));
      if (full) break;
      shard.units.push(next.unit);
      shard.expectedMs += next.expectedMs;
      at += 1;
    }
    leftMs -= shard.expectedMs;
    shards.push(shard);
  }
  return shards.sort((a, b) => b.expectedMs - a.expectedMs);
}

/** Mean wall time over trials in which each shard takes up to 30 % more or less than expected. */
function expectedWallMs(shards: readonly Shard[], slots: number, fixedMs: number): number {
  let sumMs = 0;
  for (let trial = 0; trial < trials; trial += 1) {
    let seed = trial * 7919 + 1;
    const noisy = shards.map((shard) => {
      // A fixed sequence (Park & Miller), so that the same suite always gets the same plan.
      seed = (seed * 48_271) % 2_147_483_647;
      const offMost = estimateError / Math.sqrt(Math.max(1, shard.units.length));
      return fixedMs + shard.expectedMs * (1 + offMost * ((2 * seed) / 2_147_483_647 - 1));
    });
    sumMs += listScheduleMs(noisy, slots);
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
