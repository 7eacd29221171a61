const FIRST_MS = 250;
const LONGEST_MS = 15_000;

/**
 * How long to wait before dialling again, on whichever side dials: 0.25 s, doubling up to 15 s, ± 50 % so that many
 * workers lost together do not come back together.
 *
 * @param failures dials in a row that failed before this wait
 * @param random from 0 up to 1
 */
export function redialDelayMs(failures: number, random = Math.random()): number {
  const wholeMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 20));
  return wholeMs * (0.5 + random);
}
