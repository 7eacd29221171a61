import type { TestReport } from '@helixcode/protocol/test/test-result';
import { z } from 'zod';
import { boundText } from '../output/bound-output.ts';
import { stripControl } from '../output/strip-control.ts';
import { defineTool } from './tool.ts';

const SHOWN_FAILURES = 20;
const SHOWN_CHARACTERS = 2_000;

export const runTests = defineTool({
  name: 'run_tests',
  description: 'Run the tests of the project, divided over many machines: faster than by shell.',
  effect: 'host',
  input: z.strictObject({
    patterns: z.array(z.string().min(1)).optional().describe('only files whose path contains one of these'),
  }),
  async run({ patterns = [] }, { host, signal }) {
    const report = await host.runTests({ patterns }, signal);
    const { failed, errors } = report.totals;
    return { text: tellTestReport(report), isError: failed + errors > 0 };
  },
});

/** A report as a model reads it: the counts, and each failure with where it is. */
export function tellTestReport({ totals, failures, flaky, runner }: TestReport): string {
  const counts = [
    `${totals.passed} passed`,
    `${totals.failed} failed`,
    ...(totals.errors > 0 ? [`${totals.errors} files with errors`] : []),
    ...(totals.skipped > 0 ? [`${totals.skipped} skipped`] : []),
  ];
  // No test at all is no success that a model may build on.
  const none = totals.tests === 0 ? ['No test ran.'] : [];
  const told = failures.slice(0, SHOWN_FAILURES).map((failure) => {
    const place = failure.file === undefined ? '' : ` (${failure.file}${failure.line === undefined ? '' : `:${failure.line}`})`;
    return `FAILED ${failure.unit} > ${failure.name}${place}\n${stripControl(failure.message).slice(0, SHOWN_CHARACTERS).trim()}`;
  });
  const more = failures.length > SHOWN_FAILURES ? [`[${failures.length - SHOWN_FAILURES} more failures]`] : [];
  const unsteady = flaky.map(({ unit, name }) => `flaky: ${unit} > ${name} failed once and passed when run again`);
  return boundText([`[${runner}: ${counts.join(', ')}]`, ...none, ...told, ...more, ...unsteady].join('\n')).text;
}
