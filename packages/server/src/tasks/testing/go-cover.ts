import { posix } from 'node:path';

/**
 * Turns a profile of `go test -coverprofile` into lcov records: a line counts as run when any block on it ran.
 *
 * @param packages import path → folder relative to the root; files of other packages are left out
 * @see https://pkg.go.dev/golang.org/x/tools/cover for the lines `path:line.column,line.column statements count`
 */
export function goCoverToLcov(profile: string, packages: ReadonlyMap<string, string>): string {
  const files = new Map<string, Map<number, number>>();
  for (const line of profile.split('\n')) {
    const [, path, from, to, count] = /^(.+):(\d{1,7})\.\d+,(\d{1,7})\.\d+ \d+ (\d{1,15})$/.exec(line) ?? [];
    const folder = path === undefined ? undefined : packages.get(posix.dirname(path));
    if (path === undefined || folder === undefined || Number(to) - Number(from) > 100_000) continue;
    const file = posix.join(folder, posix.basename(path));
    const lines = files.get(file) ?? new Map<number, number>();
    files.set(file, lines);
    for (let at = Number(from); at <= Number(to); at += 1) lines.set(at, Math.max(lines.get(at) ?? 0, Number(count)));
  }
  return [...files]
    .map(([file, lines]) => `SF:${file}\n${[...lines].map(([line, count]) => `DA:${line},${count}\n`).join('')}end_of_record\n`)
    .join('');
}
