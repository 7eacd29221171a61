/** Whole billionths of a US dollar: sums of them are exact, as sums of fractions are not. */
export type NanoUsd = number;

/** Rounded up: what is booked is never less than what was billed. */
export function toNanoUsd(usd: number): NanoUsd {
  // A product such as 0.1 × 1e9 may lie a hair above the whole number it means.
  return Math.ceil(Number((usd * 1e9).toPrecision(15)));
}

export function toUsd(nanoUsd: NanoUsd): number {
  return nanoUsd / 1e9;
}
