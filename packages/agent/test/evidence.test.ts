import { describe, expect, test } from 'vitest';
import { checkEvidence } from '../src/evidence/check-evidence.ts';
import type { Receipt } from '../src/evidence/receipt.ts';
import { type Plan, planTotals } from '../src/plan/plan.ts';

const receipt = (more: Partial<Receipt> = {}): Receipt => ({ id: 'r1', command: 'make test', exitCode: 0, treeHash: 'now', ...more });
const demand = { commands: ['make test', 'make lint'] };
const lint = receipt({ id: 'r2', command: 'make lint' });

describe('work counts as done [F1]', () => {
  test('when every check of the project passed at the files as they are', () => {
    expect(checkEvidence(demand, [receipt(), lint], 'now')).toEqual({ isAccepted: true, proof: 'verified', receipts: ['r1', 'r2'] });
  });

  test.each<[string, Receipt[], object]>([
    ['a check that did not run', [receipt()], { kind: 'not_run', command: 'make lint' }],
    ['a check of other files', [receipt({ treeHash: 'before' }), lint], { kind: 'outdated', command: 'make test' }],
    ['a check that failed', [receipt({ exitCode: 2 }), lint], { kind: 'failed', command: 'make test', exitCode: 2 }],
    [
      'a check that passed and then failed at the same files',
      [receipt(), receipt({ exitCode: 1 }), lint],
      { kind: 'failed', command: 'make test', exitCode: 1 },
    ],
    ['another command that passed', [receipt({ command: 'make test || true' }), lint], { kind: 'not_run', command: 'make test' }],
    [
      'a runner that hides failures',
      [receipt({ tests: { passed: 9, failed: 1, skipped: 0 } }), lint],
      { kind: 'failed', command: 'make test', exitCode: 0 },
    ],
  ])('not with %s', (_, receipts, problem) => {
    expect(checkEvidence(demand, receipts, 'now')).toEqual({ isAccepted: false, problems: [problem] });
  });

  test('not when fewer tests ran than at the beginning: some were deleted or skipped', () => {
    const rule = { commands: ['make test'], testsAtStart: 10 };
    expect(checkEvidence(rule, [receipt({ tests: { passed: 8, failed: 0, skipped: 2 } })], 'now')).toEqual({
      isAccepted: false,
      problems: [{ kind: 'tests_gone', before: 10, now: 8 }],
    });
    expect(checkEvidence(rule, [receipt()], 'now').isAccepted).toBe(false);
    expect(checkEvidence(rule, [receipt({ tests: { passed: 11, failed: 0, skipped: 0 } })], 'now').isAccepted).toBe(true);
  });

  test('a check that failed once counts when it passed later at the same files', () => {
    expect(checkEvidence({ commands: ['make test'] }, [receipt({ exitCode: 1 }), receipt({ id: 'r9' })], 'now')).toMatchObject({
      receipts: ['r9'],
    });
  });

  test('without checks nothing is proven, and that is said', () => {
    expect(checkEvidence({ commands: [] }, [receipt()], 'now')).toEqual({ isAccepted: true, proof: 'nothing_to_verify', receipts: [] });
  });
});

test('a plan adds up: cost, time one after the other and side by side, and files that two would change at once [M1]', () => {
  const part = (id: string, needs: string[], files: string[], minutes: number): Plan['subtasks'][number] => ({
    id,
    title: id,
    kind: 'agent',
    detail: '',
    needs,
    files,
    minutes,
    costUsd: 0.5,
  });
  const plan: Plan = {
    summary: 's',
    risks: [],
    subtasks: [part('a', [], ['x.ts'], 10), part('b', ['a'], ['x.ts', 'y.ts'], 5), part('c', ['a'], ['y.ts'], 20)],
  };

  expect(planTotals(plan)).toEqual({
    costUsd: 1.5,
    minutes: 35,
    minutesInParallel: 30,
    overlaps: [{ file: 'y.ts', subtasks: ['b', 'c'] }],
  });
});
