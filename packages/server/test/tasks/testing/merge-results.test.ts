import { type TestCase, testReport, type UnitResult } from '@helixcode/protocol/test/test-result';
import { expect, test } from 'vitest';
import { mergeResults, type ShardRun } from '../../../src/tasks/testing/merge-results.ts';

const one = (unit: string, name: string, outcome: TestCase['outcome']): TestCase => ({
  unit,
  name,
  outcome,
  durationMs: 5,
  ...(outcome === 'failed' && { message: `${name} broke`, file: unit, line: 3 }),
});
const result = (
  unit: string,
  outcome: UnitResult['outcome'],
  cases: Record<string, TestCase['outcome']> = {},
  message?: string,
): UnitResult => ({
  unit,
  outcome,
  durationMs: 100,
  cases: Object.entries(cases).map(([name, told]) => one(unit, name, told)),
  ...(message !== undefined && { message }),
});
const run = (round: ShardRun['round'], startedAtMs: number, endedAtMs: number, ...results: UnitResult[]): ShardRun => ({
  round,
  worker: 'w1',
  startedAtMs,
  endedAtMs,
  results,
});
const merge = (units: string[], ...runs: ShardRun[]) => {
  const merged = mergeResults({ runner: 'vitest', units, runs, slots: 2, wallMs: 1_000 });
  expect(testReport.parse(merged.report)).toEqual(merged.report);
  return merged;
};

test('shards become one report', () => {
  const { report } = merge(
    ['a', 'b', 'c'],
    {
      ...run('first', 0, 200, result('a', 'passed', { x: 'passed', y: 'skipped' }), result('b', 'failed', { z: 'failed' })),
      lcov: 'SF:s\nDA:1,1\nDA:2,0\nend_of_record\n',
    },
    {
      ...run('first', 0, 100, result('c', 'passed', { x: 'passed' })),
      worker: 'w0',
      lcov: 'SF:s\nDA:2,3\nDA:3,0\nDA:4,1\nend_of_record\n',
    },
  );
  expect(report.totals).toEqual({ units: 3, tests: 4, passed: 2, failed: 1, skipped: 1, errors: 0, flaky: 0 });
  expect(report.failures).toEqual([{ unit: 'b', name: 'z', message: 'z broke', file: 'b', line: 3 }]);
  expect(report).toMatchObject({ serialMs: 300, utilisation: 0.75, workers: ['w0', 'w1'], shards: 2, lineCoverage: 0.75 });
});

test('a test that failed and then passed is flaky and counts as passed', () => {
  const { report, units } = merge(
    ['a'],
    run('first', 0, 1, result('a', 'failed', { x: 'passed', y: 'failed' })),
    run('retry', 2, 3, result('a', 'passed', { x: 'passed', y: 'passed' })),
  );
  expect(report.totals).toMatchObject({ passed: 2, failed: 0, flaky: 1 });
  expect(report.flaky).toEqual([{ unit: 'a', name: 'y', message: 'y broke' }]);
  expect(units[0]?.outcome).toBe('passed');
});

test('a test that failed twice is a failure, told once', () => {
  const { report } = merge(
    ['a'],
    run('first', 0, 1, result('a', 'failed', { y: 'failed' })),
    run('retry', 2, 3, result('a', 'failed', { y: 'failed' })),
  );
  expect(report.totals).toMatchObject({ tests: 1, failed: 1, flaky: 0 });
  expect(report.failures).toHaveLength(1);
});

test('tests of one name in a unit are told apart', () => {
  const same = (...outcomes: TestCase['outcome'][]): UnitResult => ({
    unit: 'a',
    outcome: 'failed',
    durationMs: 1,
    cases: outcomes.map((outcome) => one('a', 'x', outcome)),
  });
  const { report } = merge(
    ['a'],
    run('first', 0, 1, same('passed', 'failed', 'failed')),
    run('retry', 2, 3, same('passed', 'passed', 'failed')),
  );
  expect(report.totals).toMatchObject({ tests: 3, passed: 2, failed: 1, flaky: 1 });
});

test('a unit without a result in two runs is an error that names it', () => {
  const { report, units } = merge(
    ['a', 'b'],
    run('first', 0, 1, result('a', 'missing', { x: 'passed' }, 'exit status 137')),
    run('retry', 2, 3, result('a', 'missing', {}, 'exit status 137')),
  );
  expect(units[0]).toMatchObject({ outcome: 'error' });
  expect(report.totals).toMatchObject({ errors: 2 });
  expect(report.failures[0]?.message).toMatch(/^a gave no result in two runs/);
  expect(report.failures[1]).toMatchObject({ unit: 'b', message: 'no shard gave a result for it' });
});

test('a unit that hung with others and then alone says what it did alone', async () => {
  const { report } = merge(
    ['a'],
    run('first', 0, 1, result('a', 'missing', {}, 'the shard was stopped')),
    run('first', 2, 3, result('a', 'missing', { x: 'passed' }, 'a did not finish within 2 s')),
  );
  expect(report.failures).toMatchObject([{ unit: 'a', message: 'a did not finish within 2 s' }]);
});

test('a unit that was missing and then ran is no flaky test', () => {
  const { report } = merge(
    ['a'],
    run('first', 0, 1, result('a', 'missing', { x: 'passed' })),
    run('retry', 2, 3, result('a', 'passed', { x: 'passed', y: 'passed' })),
  );
  expect(report.totals).toMatchObject({ tests: 2, passed: 2, errors: 0, flaky: 0 });
});

test('a failure outside the tests is flaky only when the whole unit then passes', () => {
  const first = run('first', 0, 1, result('a', 'error', { x: 'passed' }, 'late rejection'));
  expect(merge(['a'], first, run('retry', 2, 3, result('a', 'passed', { x: 'passed' }))).report).toMatchObject({
    totals: { errors: 0, flaky: 1 },
    flaky: [{ name: '(outside any test)', message: 'late rejection' }],
  });
  expect(merge(['a'], first, run('retry', 2, 3, result('a', 'error', { x: 'passed' }, 'late rejection'))).report.totals).toMatchObject({
    errors: 1,
    flaky: 0,
  });
  expect(merge(['a'], first).report.totals).toMatchObject({ errors: 1 });
});

test('a retry that breaks off settles nothing', () => {
  const { report } = merge(
    ['a'],
    run('first', 0, 1, result('a', 'failed', { y: 'failed' })),
    run('retry', 2, 3, result('a', 'missing', { y: 'passed' })),
  );
  expect(report.totals).toMatchObject({ failed: 1, flaky: 0 });
});

test('a failed test whose unit crashes in the retry leaves an error', () => {
  const { report } = merge(
    ['a'],
    run('first', 0, 1, result('a', 'failed', { y: 'failed' })),
    run('retry', 2, 3, result('a', 'error', { y: 'passed' }, 'crash')),
  );
  expect(report.totals).toMatchObject({ errors: 1 });
});

test('of two copies of a shard the first to end counts, and its tests count once', () => {
  const copy = result('a', 'passed', { x: 'passed' });
  const slow = run('first', 0, 900, copy);
  const fast = { ...run('first', 500, 700, copy), worker: 'w2' };
  expect(merge(['a'], slow, fast).report.totals).toMatchObject({ tests: 1, passed: 1 });
  const gaveUp = run('first', 0, 100, result('a', 'missing'));
  expect(merge(['a'], gaveUp, fast).report.totals).toMatchObject({ passed: 1, errors: 0 });
});

test('a result for a unit that is not of the suite is not counted', () => {
  expect(
    merge(['a'], run('first', 0, 1, result('a', 'passed', { x: 'passed' }), result('b', 'passed', { x: 'passed' }))).report.totals.tests,
  ).toBe(1);
});

test('a run in which nothing came back is all errors', () => {
  expect(merge(['a', 'b']).report).toMatchObject({ totals: { units: 2, tests: 0, errors: 2 }, utilisation: 0 });
});
