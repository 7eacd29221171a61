import { quantile } from '../../scripts/bench/measurement.ts';
import type { ChaosResult } from './chaos-run.ts';

/** The figures of a run as a person reads them. */
export function chaosTable(result: ChaosResult): string {
  const { faults, recovery, findings } = result;
  const alone = recovery.filter(({ isUndisturbed }) => isUndisturbed);
  const rows: [string, string][] = [...faults]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, { count }]) => {
      const ms = alone.filter((one) => one.kind === kind).map((one) => one.ms);
      return [
        kind,
        `${String(count).padStart(5)}${ms.length > 0 ? `   recovery p50 ${seconds(ms, 0.5)}, p99 ${seconds(ms, 0.99)} (${ms.length})` : ''}`,
      ];
    });
  const all = alone.map(({ ms }) => ms);
  const disturbed = recovery.filter(({ isUndisturbed }) => !isUndisturbed).map(({ ms }) => ms);
  const figures: [string, number][] = [
    ['trees handed in', result.trees],
    ['tasks', result.tasks],
    ['attempts', result.attempts],
    ...Object.entries(result.attemptsBy).map(([what, count]): [string, number] => [`  ${what}`, count]),
    ['lost', result.lost],
    ['duplicated', result.duplicated],
    ['false successes', result.falseSuccesses],
    ['anything else', findings.length - result.lost - result.duplicated - result.falseSuccesses],
  ];
  rows.push(
    ...figures.map(([name, value]): [string, string] => [name, String(value).padStart(5)]),
    ['recovery', `  p50 ${seconds(all, 0.5)}, p99 ${seconds(all, 0.99)} (${all.length})`],
    ['  met by another fault', `  p50 ${seconds(disturbed, 0.5)}, p99 ${seconds(disturbed, 0.99)} (${disturbed.length})`],
  );
  const leftOut = result.leftOut.map((what) => `left out: ${what}`);
  return [...rows.map(([name, value]) => `  ${name.padEnd(22)} ${value}`), ...leftOut].join('\n');
}

/** The same in one line for programs. */
export function chaosLine({ ok, faults, tasks, lost, duplicated, falseSuccesses, recovery }: ChaosResult): string {
  const all = recovery.filter(({ isUndisturbed }) => isUndisturbed).map(({ ms }) => ms);
  const rounded = (part: number): number | null => (all.length === 0 ? null : Math.round(quantile(all, part)));
  const kills = [...faults.values()].reduce((sum, { count, isKill }) => sum + (isKill ? count : 0), 0);
  return JSON.stringify({ ok, kills, tasks, lost, duplicated, falseSuccesses, recoveryMs: { p50: rounded(0.5), p99: rounded(0.99) } });
}

function seconds(ms: readonly number[], part: number): string {
  return ms.length === 0 ? '–' : `${(quantile(ms, part) / 1000).toFixed(2)} s`;
}
