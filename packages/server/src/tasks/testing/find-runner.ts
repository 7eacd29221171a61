import { CodedError } from '@helixcode/protocol/errors';
import { cargoTest } from './runners/cargo-test.ts';
import { goTest } from './runners/go-test.ts';
import { jest } from './runners/jest.ts';
import { junitCommand } from './runners/junit-command.ts';
import { mocha } from './runners/mocha.ts';
import { nodeTest } from './runners/node-test.ts';
import { pytest } from './runners/pytest.ts';
import { vitest } from './runners/vitest.ts';
import type { ProjectFiles, TestRunner, TestRunnerName } from './test-runner.ts';

/**
 * In the order in which they are tried. Go and Cargo are unmistakable by one file; a repository with a test script of
 * JavaScript and Python files beside it is a JavaScript project, hence pytest comes last.
 */
export const TEST_RUNNERS: readonly TestRunner[] = [vitest, jest, mocha, nodeTest, goTest, cargoTest, pytest, junitCommand];

export function runnerNamed(name: TestRunnerName): TestRunner {
  const runner = TEST_RUNNERS.find((candidate) => candidate.name === name);
  if (!runner) throw new Error(`no adapter for test runner ${name}`);
  return runner;
}

/**
 * The runner a tree uses.
 * @throws CodedError `test.runner_unknown` when none knows it
 */
export async function findRunner(files: ProjectFiles): Promise<TestRunner> {
  for (const runner of TEST_RUNNERS) {
    if (await runner.detect(files)) return runner;
  }
  throw new CodedError('test.runner_unknown', 'no test runner is known from the files of this commit', {
    next: 'set tools.test.runner, or tools.test.junit with your own command, in helix.json: `helix config check` says whether it is right',
  });
}

/** The units whose path contains one of the patterns; all without patterns. */
export function selectUnits(units: readonly string[], patterns: readonly string[]): string[] {
  return patterns.length === 0 ? [...units] : units.filter((unit) => patterns.some((pattern) => unit.includes(pattern)));
}
