import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SuiteEvent, SuiteModelView, SuiteReportView, SuiteTrialView } from '@helixcode/protocol/api/model-views';
import type { ModelGates } from '@helixcode/protocol/config/model-gates';
import { CodedError, ERROR_CODES, isErrorCode } from '@helixcode/protocol/errors';
import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import type { ModelSuite, SuiteStrategy } from '@helixcode/protocol/model/model-suite';
import { connect } from './connect.ts';
import type { HelixContext } from './helix-context.ts';
import { formatMs, formatTokens, formatUsd } from './output/amounts.ts';
import { suiteJunit } from './output/suite-junit.ts';
import { serverSentEvents } from './server-sent-events.ts';

export interface SuiteFlags {
  suite: ModelSuite;
  models?: string[];
  strategy?: SuiteStrategy;
  minPass?: number;
  minWellFormed?: number;
  /** Milliseconds. */
  maxP95?: number;
  maxUsd?: number;
  junit?: string;
}

/**
 * Runs a suite and shows each trial as it ends. The exit status is that of the first model that could not be tried, else 5 where a
 * gate was missed.
 */
export async function testWithSuite(context: HelixContext, flags: SuiteFlags): Promise<void> {
  const { out } = context;
  const { suite, models, strategy, minPass, minWellFormed, maxP95, maxUsd } = flags;
  const gates: ModelGates = {
    ...(minPass !== undefined && { minPass }),
    ...(minWellFormed !== undefined && { minWellFormed }),
    ...(maxP95 !== undefined && { maxP95Ms: maxP95 }),
    ...(maxUsd !== undefined && { maxUsd }),
  };
  const body = { suite, gates, ...(models !== undefined && { models }), ...(strategy !== undefined && { strategy }) };
  const response = await (await connect(context)).call('models.suite', { body });
  const report = await followSuite(response, context);

  if (flags.junit !== undefined) {
    const file = path.resolve(context.cwd, flags.junit);
    await writeFile(file, suiteJunit(report));
    out.note(`JUnit: ${file}`);
  }
  out.list(
    report.models,
    [
      { title: 'model', cell: ({ model, replayed }) => (replayed ? `${model} (replayed)` : model) },
      {
        title: 'passed',
        cell: ({ passed, trials, passRate }) => `${passed} of ${trials} (${Math.round(100 * passRate)} %)`,
        look: (text, { missed, failure }) => (missed.length > 0 || failure ? out.style.red(text) : out.style.green(text)),
      },
      { title: 'well-formed calls', cell: ({ toolCalls }) => (toolCalls ? `${toolCalls.wellFormed} of ${toolCalls.made}` : '') },
      { title: 'p50', cell: ({ latencyMs }) => (latencyMs ? formatMs(latencyMs.p50) : '') },
      { title: 'p95', cell: ({ latencyMs }) => (latencyMs ? formatMs(latencyMs.p95) : '') },
      { title: 'tokens', cell: ({ usage }) => `${formatTokens(usage.inputTokens)} + ${formatTokens(usage.outputTokens)}` },
      { title: 'cost', cell: ({ costUsd }) => (costUsd === undefined ? '?' : formatUsd(costUsd)) },
    ],
    { document: report },
  );
  for (const model of report.models) {
    if (model.failure) {
      out.note(`${out.noteStyle.red('error:')} ${model.model}: ${model.failure.message}`);
      if (model.failure.next !== undefined) out.note(`${out.noteStyle.dim('next:')} ${model.failure.next}`);
    }
    for (const missed of model.missed) out.note(`${out.noteStyle.red('missed:')} ${model.model}: ${tellMissed(missed)}`);
  }
  out.hint('helix usage --by run');
  context.exitStatus = statusOf(report);
}

async function followSuite(response: Response, { out }: HelixContext): Promise<SuiteReportView> {
  for await (const event of serverSentEvents<SuiteEvent>(response)) {
    if ('error' in event) throw CodedError.fromFact(event.error as Parameters<typeof CodedError.fromFact>[0]);
    if ('report' in event) return event.report;
    if (out.format === 'jsonl') out.json(event);
    else out.note(tellTrial(event.trial, out));
  }
  throw new CodedError('server.unreachable', 'the server went away before the suite was over', { next: 'helix status' });
}

function tellTrial({ model, name, passed, problem, tookMs }: SuiteTrialView, { noteStyle }: HelixContext['out']): string {
  const mark = passed ? noteStyle.green('passed') : noteStyle.red('failed');
  return `${mark}  ${model}  ${name}  ${noteStyle.dim(formatMs(tookMs))}${problem === undefined ? '' : `\n        ${problem}`}`;
}

function tellMissed({ gate, limit, value }: SuiteModelView['missed'][number]): string {
  const shown = (amount: number | undefined): string => {
    if (amount === undefined) return 'not known';
    if (gate === 'maxP95Ms') return formatMs(amount);
    return gate === 'maxUsd' ? formatUsd(amount) : `${Number((100 * amount).toFixed(1))} %`;
  };
  const words = {
    minPass: ['trials passed', 'at least'],
    minWellFormed: ['well-formed calls', 'at least'],
    maxP95Ms: ['95 % of calls within', 'at most'],
    maxUsd: ['cost', 'at most'],
  } as const;
  const [what, bound] = words[gate];
  return `${what}: ${shown(value)}, must be ${bound} ${shown(limit)}`;
}

function statusOf({ models }: SuiteReportView): number {
  const failure = models.find((model) => model.failure)?.failure;
  if (failure) return isErrorCode(failure.code) ? ERROR_CODES[failure.code].exit : EXIT_CODES.failed.status;
  return models.some(({ missed }) => missed.length > 0) ? EXIT_CODES.taskFailed.status : EXIT_CODES.ok.status;
}
