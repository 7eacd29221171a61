import { quantile } from '../../../scripts/bench/measurement.ts';
import type { AgentChaosResult } from './agent-chaos.ts';

/** The figures of a run as a person reads them. */
export function agentChaosTable(result: AgentChaosResult): string {
  const { struck, recovery } = result;
  const kinds = [...new Set(struck.map(({ kind }) => kind))].sort();
  const told = (ms: readonly number[]): string =>
    ms.length === 0 ? '' : `   goes on after p50 ${seconds(ms, 0.5)}, p99 ${seconds(ms, 0.99)} (${ms.length})`;
  const rows: [string, string][] = [
    ...kinds.map((kind): [string, string] => [
      kind,
      `${count(struck.filter((one) => one.kind === kind).length)}${told(recovery.filter((one) => one.kind === kind).map(({ ms }) => ms))}`,
    ]),
    ['agents', count(result.runs)],
    ['without their end', count(result.lost)],
    ['turns lost', count(result.turnsLost)],
    ['answers asked for again', count(result.askedAgain)],
    ['calls told as unknown', count(result.unknownCalls)],
    ['files lost', count(result.filesLost)],
    ['effects duplicated', count(result.duplicated)],
    ['false successes', count(result.falseSuccesses)],
    ['goes on', told(recovery.map(({ ms }) => ms)).trim()],
  ];
  return rows.map(([name, value]) => `  ${name.padEnd(30)} ${value}`).join('\n');
}

/** The same in one line for programs. */
export function agentChaosLine({
  ok,
  struck,
  runs,
  lost,
  duplicated,
  falseSuccesses,
  recovery,
  turnsLost,
  filesLost,
}: AgentChaosResult): string {
  const ms = recovery.map((one) => one.ms);
  const rounded = (part: number): number | null => (ms.length === 0 ? null : Math.round(quantile(ms, part)));
  const recoveryMs = { p50: rounded(0.5), p99: rounded(0.99) };
  return JSON.stringify({ ok, kills: struck.length, tasks: runs, lost, duplicated, falseSuccesses, recoveryMs, turnsLost, filesLost });
}

function count(value: number): string {
  return String(value).padStart(5);
}

function seconds(ms: readonly number[], part: number): string {
  return `${(quantile(ms, part) / 1000).toFixed(2)} s`;
}
