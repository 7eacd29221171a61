import type { TestCase, TestReport, TestTotals, UnitResult } from '@helixcode/protocol/test/test-result';
import type { MergedUnit } from './junit-xml.ts';
import { mergeLcov } from './lcov.ts';
import { boundMessage } from './run-output.ts';

/** One shard's run, as it came back. */
export interface ShardRun {
  /** `retry` for a run of units that had failed; copies of a slow shard are `first` like the shard itself. */
  round: 'first' | 'retry';
  worker: string;
  /** Milliseconds since the epoch, of the server's clock. */
  startedAtMs: number;
  endedAtMs: number;
  results: readonly UnitResult[];
  lcov?: string | undefined;
}

export interface MergeInput {
  runner: string;
  /** Every unit of the suite; one that no run tells of is missing. */
  units: readonly string[];
  runs: readonly ShardRun[];
  /** Shards that could run at once. */
  slots: number;
  wallMs: number;
}

export interface MergedRun {
  report: TestReport;
  /** Every unit of the suite, in its order, with all its cases. */
  units: MergedUnit[];
  /** Merged lcov, empty without coverage. */
  lcov: string;
}

/** The name under which what failed outside any test is listed. */
const OUTSIDE_TESTS = '(outside any test)';

/**
 * Makes one result of all runs of a suite.
 *
 * - Of copies in the first round, the one that ended first and has a result counts.
 * - A unit that failed is settled by its retry, case by case: failed and then passed (or the other way round) is flaky
 *   and counts as passed; what the retry does not tell of stays as it was.
 * - A failure outside the tests is flaky only when the retry of the unit passed as a whole.
 * - A unit without a result in both rounds is an error that says so.
 */
export function mergeResults({ runner, units, runs, slots, wallMs }: MergeInput): MergedRun {
  const first = resultsOf(runs, 'first');
  const retry = resultsOf(runs, 'retry');
  const merged = units.map((unit) => mergeUnit(unit, first.get(unit), retry.get(unit)));
  const { lcov, lineCoverage } = mergeLcov(runs.flatMap((run) => run.lcov ?? []));
  const flaky = merged.flatMap(({ unit, flakyOutside }) => flakyOf(unit, flakyOutside));
  const all = merged.map(({ unit }) => unit);
  const startMs = Math.min(...runs.map((run) => run.startedAtMs));
  const spanMs = Math.max(0, Math.max(...runs.map((run) => run.endedAtMs)) - startMs);
  const busyMs = runs.reduce((sum, run) => sum + Math.max(0, run.endedAtMs - run.startedAtMs), 0);
  return {
    report: {
      runner,
      totals: totalsOf(all, flaky.length),
      failures: all.flatMap(failuresOf),
      flaky,
      shards: runs.length,
      serialMs: units.reduce((sum, unit) => sum + ((first.get(unit) ?? retry.get(unit))?.durationMs ?? 0), 0),
      wallMs,
      utilisation: runs.length === 0 || spanMs === 0 ? 0 : Math.min(1, busyMs / (slots * spanMs)),
      slots,
      workers: [...new Set(runs.map((run) => run.worker))].sort(),
      ...(lineCoverage !== undefined && { lineCoverage }),
    },
    units: all,
    lcov,
  };
}

/** One result per unit of a round: the first to arrive that is one, else the last to say why there is none: it ran alone. */
function resultsOf(runs: readonly ShardRun[], round: ShardRun['round']): Map<string, UnitResult> {
  const chosen = new Map<string, UnitResult>();
  for (const run of runs.filter((one) => one.round === round).toSorted((a, b) => a.endedAtMs - b.endedAtMs)) {
    for (const result of run.results) {
      const before = chosen.get(result.unit);
      if (!before || before.outcome === 'missing') chosen.set(result.unit, result);
    }
  }
  return chosen;
}

interface Settled {
  unit: MergedUnit;
  /** The message of a failure outside the tests that did not come again. */
  flakyOutside?: string | undefined;
}

function mergeUnit(unit: string, first: UnitResult | undefined, retry: UnitResult | undefined): Settled {
  const one = first ?? { unit, outcome: 'missing', durationMs: 0, cases: [], message: 'no shard gave a result for it' };
  if (!retry || one.outcome === 'passed') return { unit: { ...one, flakyCases: new Map() } };
  if (one.outcome === 'missing') {
    if (retry.outcome !== 'missing') return { unit: { ...retry, flakyCases: new Map() } };
    const message = boundMessage(
      `${unit} gave no result in two runs.\nfirst: ${one.message ?? 'no reason known'}\nthen: ${retry.message ?? 'no reason known'}`,
    );
    return { unit: { ...richer(one, retry), outcome: 'error', message, flakyCases: new Map() } };
  }
  // A retry that broke off settles nothing, not even by the tests it came to.
  if (retry.outcome === 'missing') return { unit: { ...one, flakyCases: new Map() } };
  const { cases, flakyCases } = mergeCases(one.cases, retry.cases);
  const durationMs = one.durationMs;
  if (retry.outcome === 'passed') {
    const flakyOutside = one.outcome === 'error' ? (one.message ?? 'failed outside its tests') : undefined;
    const failed = cases.some((each) => each.outcome === 'failed');
    return { unit: { unit, outcome: failed ? 'failed' : 'passed', durationMs, cases, flakyCases }, flakyOutside };
  }
  if (one.outcome === 'error' || retry.outcome === 'error') {
    const { message = 'failed outside its tests', file, line } = one.outcome === 'error' ? one : retry;
    return {
      unit: {
        unit,
        outcome: 'error',
        durationMs,
        cases,
        message,
        flakyCases,
        ...(file !== undefined && { file }),
        ...(line !== undefined && { line }),
      },
    };
  }
  return { unit: { unit, outcome: cases.some((each) => each.outcome === 'failed') ? 'failed' : 'passed', durationMs, cases, flakyCases } };
}

const richer = (a: UnitResult, b: UnitResult): UnitResult => (b.cases.length > a.cases.length ? b : a);

/** Tests of one name are told apart by their place among those of that name. */
function mergeCases(first: readonly TestCase[], retry: readonly TestCase[]): { cases: TestCase[]; flakyCases: Map<number, string> } {
  const again = new Map(numbered(retry));
  const cases: TestCase[] = [];
  const flakyCases = new Map<number, string>();
  for (const [key, one] of numbered(first)) {
    const two = again.get(key);
    again.delete(key);
    const [passed, failed] = one.outcome === 'failed' ? [two, one] : [one, two];
    if (passed?.outcome === 'passed' && failed?.outcome === 'failed') {
      flakyCases.set(cases.length, failed.message ?? 'failed without a message');
      cases.push(passed);
    } else cases.push(one);
  }
  // A first run that broke off did not come to these.
  cases.push(...again.values());
  return { cases, flakyCases };
}

function numbered(cases: readonly TestCase[]): [string, TestCase][] {
  const seen = new Map<string, number>();
  return cases.map((one) => {
    const number = seen.get(one.name) ?? 0;
    seen.set(one.name, number + 1);
    return [`${number} ${one.name}`, one];
  });
}

function flakyOf(unit: MergedUnit, outside: string | undefined): TestReport['flaky'] {
  const flaky = [...unit.flakyCases].map(([at, message]) => ({ unit: unit.unit, name: unit.cases[at]?.name ?? '', message }));
  if (outside !== undefined) flaky.push({ unit: unit.unit, name: OUTSIDE_TESTS, message: outside });
  return flaky;
}

function totalsOf(units: readonly MergedUnit[], flaky: number): TestTotals {
  const count = (outcome: TestCase['outcome']) =>
    units.reduce((sum, unit) => sum + unit.cases.filter((one) => one.outcome === outcome).length, 0);
  const [passed, failed, skipped] = [count('passed'), count('failed'), count('skipped')];
  const errors = units.filter(({ outcome }) => outcome === 'error' || outcome === 'missing').length;
  return { units: units.length, tests: passed + failed + skipped, passed, failed, skipped, errors, flaky };
}

function failuresOf(unit: MergedUnit): TestReport['failures'] {
  const failures: TestReport['failures'] = unit.cases
    .filter((one) => one.outcome === 'failed')
    .map(({ name, message, file, line }) => ({
      unit: unit.unit,
      name,
      message: message ?? 'failed without a message',
      ...(file !== undefined && { file }),
      ...(line !== undefined && { line }),
    }));
  if (unit.outcome === 'error' || unit.outcome === 'missing') {
    const { message = 'gave no result', file, line } = unit;
    failures.push({
      unit: unit.unit,
      name: OUTSIDE_TESTS,
      message,
      ...(file !== undefined && { file }),
      ...(line !== undefined && { line }),
    });
  }
  return failures;
}
