import { CodedError, ERROR_CODES, isErrorCode } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { type SuiteFlags, testWithSuite } from '../model-suite.ts';
import { formatMs, formatUsd } from '../output/amounts.ts';

interface Flags extends Partial<SuiteFlags> {
  models?: string[];
}

/** Ends with the status of the first failure. */
export default async function modelsTest(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const { suite, models: _, ...ofSuites } = flags;
  if (suite !== undefined) return testWithSuite(this, { ...flags, suite });
  if (Object.values(ofSuites).some((flag) => flag !== undefined))
    throw new CodedError('cli.bad_usage', 'gates, strategy and JUnit are of a suite, and none is named', {
      next: 'helix models test --suite tools',
    });
  const connection = await connect(this);
  const answer = await connection.call('models.test', { body: flags.models === undefined ? {} : { models: flags.models } });
  out.list(
    answer.items,
    [
      { title: 'model', cell: (trial) => trial.model },
      {
        title: 'result',
        cell: (trial) => (trial.ok ? (trial.replayed ? 'ok, replayed' : 'ok') : (trial.failure?.code ?? 'failed')),
        look: (text, trial) => (trial.ok ? out.style.green(text) : out.style.red(text)),
      },
      { title: 'first piece', cell: (trial) => (trial.firstPieceMs === undefined ? '' : formatMs(trial.firstPieceMs)) },
      { title: 'took', cell: (trial) => formatMs(trial.tookMs) },
      { title: 'tokens', cell: ({ usage }) => (usage === undefined ? '' : `${usage.inputTokens} + ${usage.outputTokens}`) },
      { title: 'cost', cell: (trial) => (trial.costUsd === undefined ? '' : formatUsd(trial.costUsd)) },
    ],
    { document: answer },
  );
  const failures = answer.items.flatMap(({ failure }) => failure ?? []);
  for (const failure of failures) {
    out.note(`${out.noteStyle.red('error:')} ${failure.message}`);
    if (failure.next !== undefined) out.note(`${out.noteStyle.dim('next:')} ${failure.next}`);
  }
  const [first] = failures;
  if (first) this.exitStatus = isErrorCode(first.code) ? ERROR_CODES[first.code].exit : 1;
}
