/** Milliseconds of each unit; a bare number counts seconds. */
const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A timer of Node cannot be set further ahead. */
const LONGEST_MS = 24 * UNITS_MS.d;

/**
 * Reads a length of time as people write it: `500ms`, `30s`, `5m`, `1h30m`, `2d`, and `90` for 90 seconds.
 *
 * @returns whole milliseconds, at least 1
 * @throws Error that names the text and what was expected
 */
export function durationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const isWritten = parts.length > 0 && parts.map(([part]) => part).join('') === text;
  if (!isWritten && !/^\d+(\.\d+)?$/.test(text)) throw new Error(`${text} is not a duration such as 30s, 5m or 1h30m`);
  const exactMs = isWritten
    ? parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS], 0)
    : Number(text) * UNITS_MS.s;
  const ms = Math.round(exactMs);
  if (ms < 1) throw new Error(`${text} is no time at all; expected a duration such as 30s, 5m or 1h30m`);
  if (ms > LONGEST_MS) throw new Error(`${text} is longer than 24d`);
  return ms;
}
