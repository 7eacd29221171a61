/**
 * Reads how long a model provider asks us to wait.
 *
 * @param header the `Retry-After` value: seconds (`"120"`; fractions occur in practice) or an HTTP date
 * @param nowMs  current time in milliseconds since the epoch; passed in so that tests are exact
 * @returns milliseconds from `nowMs`, 0 when the date has passed, `undefined` when the header is absent or malformed
 *   (never throws: the caller then keeps its own schedule)
 * @see RFC 9110, 10.2.3 (Retry-After) and 5.6.7 (dates: the old asctime form, without GMT, counts as malformed here)
 */
export function retryAfterMs(header: string | null | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  if (!text.endsWith(' GMT')) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

/** A duration as Gemini's `RetryInfo` and OpenAI's reset headers write it: `"17s"`, `"1.5s"`, `"6m0s"`, `"320ms"`. */
export function durationMs(text: string | null | undefined): number | undefined {
  const parts = [...(text ?? '').matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) return undefined;
  const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  return Math.ceil(parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0), 0));
}
