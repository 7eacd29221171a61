/** A shard as it ran. */
export interface ShardTime {
  units: number;
  /** Sum of what the runner told of its units. */
  unitsMs: number;
  wallMs: number;
}

/** What a shard takes beyond the times its runner tells of. */
export interface ShardCosts {
  /** Of the shard: starting the runner. */
  fixedMs: number;
  /** Of each unit: mostly the start of a process for it, which runners leave out of its time. */
  perUnitMs: number;
}

/**
 * Divides what shards took beyond the times of their units: a line over the number of units, its slope the median of
 * all slopes between two shards, since some shards start on cold caches or crowded machines. Where all have the same
 * number of units nothing can be told apart, and everything counts as the shard's.
 *
 * @returns `undefined` without shards
 * @see Sen, Estimates of the Regression Coefficient Based on Kendall's Tau, JASA 63 (1968)
 */
export function findShardCosts(shards: readonly ShardTime[]): ShardCosts | undefined {
  const rests = shards.map(({ units, unitsMs, wallMs }) => ({ units, restMs: Math.max(0, wallMs - unitsMs) }));
  const slopes = rests.flatMap((a, at) =>
    rests.slice(at + 1).flatMap((b) => (a.units === b.units ? [] : [(b.restMs - a.restMs) / (b.units - a.units)])),
  );
  const perUnitMs = Math.max(0, median(slopes) ?? 0);
  const fixedMs = median(rests.map(({ units, restMs }) => Math.max(0, restMs - perUnitMs * units)));
  return fixedMs === undefined ? undefined : { fixedMs, perUnitMs };
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
