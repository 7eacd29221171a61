import { ERROR_CODES, type ErrorCode, isErrorCode } from '@helixcode/protocol/errors';
import { expect } from 'vitest';
import type { HelixRun } from './helix.ts';

/** Programs that a person may be told to run. */
const COMMAND = /(?:^|`|: |, )(?:[A-Z_]+=\S+ )?(?:helix|git|npm|kill|tail|ls|df) \S/;

/**
 * An error as every error should be: with this code, a sentence that names the thing and the fact, and the command that
 * mends it.
 *
 * @param names what the sentence must hold
 */
export function expectFault(
  fault: { code: string; message: string; next?: string | undefined } | undefined,
  code: ErrorCode,
  names: (string | RegExp)[],
): void {
  expect(fault).toMatchObject({ code });
  for (const name of names) expect(fault?.message).toMatch(name);
  expect(fault?.next).toMatch(COMMAND);
}

/** A run of `helix` that ended with such an error and with the exit status that the table of errors gives it. */
export function expectRefused(run: HelixRun, code: ErrorCode, names: (string | RegExp)[]): void {
  expectFault(run.error, code, names);
  expect(run.exitCode).toBe(exitStatusOf(code));
}

/** A run of `helix` that was about a task which failed so: the task is its result, the exit status says how it ended. */
export function expectFailed(run: HelixRun, code: ErrorCode, names: (string | RegExp)[]): void {
  expectFault((JSON.parse(run.stdout) as { failure?: { code: string; message: string; next?: string } }).failure, code, names);
  expect(run.exitCode).toBe(exitStatusOf(code));
}

export function exitStatusOf(code: string): number {
  return isErrorCode(code) ? ERROR_CODES[code].exit : 1;
}
