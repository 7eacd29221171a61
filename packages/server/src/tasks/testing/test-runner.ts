import type { SetupCommand, TEST_RUNNERS, TestSpec } from '@helixcode/protocol/task/task-spec';
import type { UnitResult } from '@helixcode/protocol/test/test-result';

export type TestRunnerName = (typeof TEST_RUNNERS)[number];

/** The tracked files at the pinned commit, as the server sees them: nothing installed, nothing built. */
export interface ProjectFiles {
  /** Relative to the root, `/` between folders. */
  readonly paths: readonly string[];
  /** The text of a file, `undefined` where there is none. */
  read(path: string): Promise<string | undefined>;
  /** Length of a file, `undefined` where there is none. */
  sizeBytes(path: string): number | undefined;
}

/** The part of a test task that changes which command a runner is given. */
export type TestOptions = Pick<TestSpec, 'args' | 'coverage' | 'junit'>;

/** The units of a suite: known from the tree alone, or by a command that a worker runs in the checkout. */
export type Listing = { units: string[] } | { command: string };

/** What a finished command left: its exit status and its streams. */
export interface RunOutput {
  readonly exitCode: number;
  /**
   * @param stream `out`, `err`, or `file:X` for what the command wrote to `$HELIX_OUTPUT_DIR/X`
   * @param lastBytes where only the end is wanted; the whole stream otherwise
   * @returns `undefined` where there is no such stream
   */
  read(stream: 'out' | 'err' | `file:${string}`, lastBytes?: number): Promise<Uint8Array | undefined>;
}

export interface RunResults {
  /** One for every unit asked for, in that order. */
  results: UnitResult[];
  /** Line coverage as lcov records with paths relative to the root, where coverage was asked for and given. */
  lcov?: string;
}

/**
 * How one test tool is found, listed, run in parts and read. Every method depends on its arguments alone, so that a
 * server that took over in the middle of a run goes on with the same commands.
 *
 * Commands are programs for `/bin/sh`, started at the root of the checkout with `HELIX_OUTPUT_DIR` naming an empty
 * folder. They use one slot: a runner is told to run one file at a time.
 */
export interface TestRunner {
  readonly name: TestRunnerName;
  /** Capability labels a worker needs. */
  readonly requires: readonly string[];
  detect(files: ProjectFiles): Promise<boolean>;
  /** The step that makes a checkout ready, `undefined` where the tool needs none that can be known from the tree. */
  setup(files: ProjectFiles): Promise<SetupCommand | undefined>;
  list(files: ProjectFiles, options: TestOptions): Promise<Listing>;
  /**
   * Reads what the command of `list` left.
   * @throws CodedError `test.runner_failed` when it gives no list; an empty list is an answer
   */
  parseListing(output: RunOutput, files: ProjectFiles): Promise<string[]>;
  runCommand(files: ProjectFiles, units: readonly string[], options: TestOptions): Promise<string>;
  /**
   * Reads what the command of `runCommand` left. Never throws on its content, which may be cut, garbage or hostile:
   * what was not reported as passed does not count as passed.
   */
  parseResults(output: RunOutput, units: readonly string[]): Promise<RunResults>;
}
