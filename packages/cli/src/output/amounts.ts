const DAY_MS = 86_400_000;

/** `350 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min` */
export function formatMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** How long ago, in days from the second on, or `never`. */
export function formatAge(time: string | undefined, nowMs: number): string {
  if (time === undefined) return 'never';
  const ms = Math.max(0, nowMs - Date.parse(time));
  return ms < 2 * DAY_MS ? `${formatMs(ms)} ago` : `${Math.floor(ms / DAY_MS)} days ago`;
}

/** In powers of 1,000: `12 B`, `3.4 kB`, `1.2 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return power === 0 ? `${bytes} B` : `${(bytes / 1_000 ** power).toFixed(1)} ${units[power]}`;
}

/** `1 file`, `2 files` */
export function countOf(count: number, singular: string, plural = `${singular}s`): string {
  return `${count} ${count === 1 ? singular : plural}`;
}

/** `$0`, `$12.30`, and below a cent as many digits as it takes to see it: `$0.00042`. */
export function formatUsd(usd: number): string {
  if (usd === 0) return '$0';
  return `$${usd < 0.01 ? Number(usd.toPrecision(2)).toFixed(Math.ceil(-Math.log10(usd)) + 1) : usd.toFixed(2)}`;
}

/** `812`, `128k`, `1.0M` */
export function formatTokens(tokens: number): string {
  if (tokens < 10_000) return String(tokens);
  return tokens < 1_000_000 ? `${Math.round(tokens / 1_000)}k` : `${(tokens / 1_000_000).toFixed(1)}M`;
}
