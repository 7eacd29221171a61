/** What a benchmark found. Names of metrics carry their unit. */
export interface Measurement {
  metrics: Record<string, number | string | null>;
  /** What it is held against, measured in the same run. */
  baseline: { name: string; metrics: Record<string, number | string | null> };
  /** What must hold, in words with the figures. */
  bars: { bar: string; ok: boolean }[];
}

/** Takes a measurement; what it starts or makes, it hands to `cleanUp`, which ends it whatever happens. */
export type Measure = (cleanUp: AsyncDisposableStack) => Promise<Measurement>;

/** The value below which the share `part` of the values lies (nearest rank). */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

export function atMost(what: string, value: number, limit: number): { bar: string; ok: boolean } {
  return { bar: `${what} ≤ ${limit} (${round(value)})`, ok: value <= limit };
}

export function atLeast(what: string, value: number, limit: number): { bar: string; ok: boolean } {
  return { bar: `${what} ≥ ${limit} (${round(value)})`, ok: value >= limit };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
