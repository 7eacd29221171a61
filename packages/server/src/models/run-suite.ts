import { Readable } from 'node:stream';
import { addUsage, NO_USAGE } from '@helixcode/llm/model-port';
import { reasoningTrials } from '@helixcode/llm/trials/reasoning-trials';
import { TOOL_TRIALS } from '@helixcode/llm/trials/tool-trials';
import type { Trial } from '@helixcode/llm/trials/trial';
import type { SuiteEvent, SuiteModelView, SuiteReportView, SuiteTrialView } from '@helixcode/protocol/api/model-views';
import type { ModelGates } from '@helixcode/protocol/config/model-gates';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { newId, type UserId } from '@helixcode/protocol/ids';
import type { ModelSuite, SuiteStrategy } from '@helixcode/protocol/model/model-suite';
import type { ModelGateway } from './model-gateway.ts';
import type { ModelProviders } from './model-providers.ts';
import { openTrialPort } from './trial-port.ts';

export interface SuiteOrder {
  suite: ModelSuite;
  /** By full name. */
  models: string[];
  strategy?: SuiteStrategy | undefined;
  gates: ModelGates;
}

interface SuiteDeps {
  gateway: Pick<ModelGateway, 'stream'>;
  providers: Pick<ModelProviders, 'target'>;
  /** What is written runs elsewhere, in the name of that user. */
  codingTrials(user: UserId): Trial[];
}

/** Keeps proxies and readers from giving up on a slow model. */
const HEARTBEAT_MS = 15_000;

/** What is so for every further call too: the rest of the suite would only repeat it. */
const ENDS_THE_SUITE = new Set<ErrorCode>([
  'budget.price_unknown',
  'budget.spent',
  'model.auth_refused',
  'model.cancelled',
  'model.circuit_open',
  'model.config_invalid',
  'model.quota_spent',
  'model.unknown',
  'model.unreachable',
  'worker.not_found',
]);

/**
 * Tries models with a suite: the models side by side, the trials of one after the other, so that its latencies are its own. All calls are of one run of the
 * budgets, and booked as any other.
 *
 * @returns server-sent events, see `suiteEvent`
 */
export function runSuite(deps: SuiteDeps, order: SuiteOrder, user: UserId, signal: AbortSignal): Readable {
  const events = new Readable({ read: () => undefined });
  const tell = (event: SuiteEvent): void => void (events.destroyed || events.push(`data: ${JSON.stringify(event)}\n\n`));
  const heartbeat = setInterval(() => events.push(':\n\n'), HEARTBEAT_MS);
  events.on('close', () => clearInterval(heartbeat));
  const run = newId('request').replace(/^req/, 'models-test');
  tryModels(deps, order, { user, signal, run }, (trial) => tell({ trial })).then(
    (report) => {
      tell({ report });
      // Nothing may come behind the end.
      clearInterval(heartbeat);
      events.push(null);
    },
    // Who has left is told nothing; what else is no outcome of a call is a fault of this program, for its log.
    (error: unknown) => events.destroy(signal.aborted ? undefined : (error as Error)),
  );
  return events;
}

async function tryModels(
  deps: SuiteDeps,
  { suite, models, strategy = 'none', gates }: SuiteOrder,
  context: { user: UserId; run: string; signal: AbortSignal },
  onTrial: (trial: SuiteTrialView) => void,
): Promise<SuiteReportView> {
  const trials = {
    coding: () => deps.codingTrials(context.user),
    tools: () => TOOL_TRIALS,
    reasoning: () => reasoningTrials(strategy),
  }[suite]();
  return {
    suite,
    ...(suite === 'reasoning' && { strategy }),
    run: context.run,
    gates,
    models: await Promise.all(models.map((name) => tryModel(name, trials))),
  };

  async function tryModel(name: string, trials: readonly Trial[]): Promise<SuiteModelView> {
    const { port, model, calls } = await openTrialPort(deps, name, context);
    const items: SuiteTrialView[] = [];
    let toolCalls: SuiteModelView['toolCalls'];
    let failure: CodedError | undefined;
    for (const trial of trials) {
      const beganMs = performance.now();
      const callsBefore = calls.length;
      let problem: string | undefined;
      try {
        const verdict = await trial.run({ port, model, signal: context.signal });
        problem = verdict.problem;
        if (verdict.toolCalls)
          toolCalls = {
            made: (toolCalls?.made ?? 0) + verdict.toolCalls.made,
            wellFormed: (toolCalls?.wellFormed ?? 0) + verdict.toolCalls.wellFormed,
          };
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        problem = `${error.message} (${error.code})`;
        if (ENDS_THE_SUITE.has(error.code)) failure = error;
      }
      const item = {
        model: name,
        name: trial.name,
        passed: problem === undefined,
        ...(problem !== undefined && { problem }),
        tookMs: performance.now() - beganMs,
        calls: calls.length - callsBefore,
      };
      items.push(item);
      onTrial(item);
      if (failure) break;
    }

    const answered = calls.filter((call) => call.usage !== undefined);
    const latenciesMs = answered.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const passed = items.filter((item) => item.passed).length;
    const figures = {
      model: name,
      ...(answered.some((call) => call.replayed) && { replayed: true as const }),
      trials: trials.length,
      passed,
      passRate: passed / trials.length,
      ...(toolCalls && { toolCalls }),
      calls: calls.length,
      ...(latenciesMs.length > 0 && { latencyMs: { p50: percentile(latenciesMs, 0.5), p95: percentile(latenciesMs, 0.95) } }),
      usage: answered.reduce((sum, { usage }) => addUsage(sum, usage ?? NO_USAGE), NO_USAGE),
      ...(answered.every(({ costUsd }) => costUsd !== undefined) && {
        costUsd: answered.reduce((sum, { costUsd }) => sum + (costUsd ?? 0), 0),
      }),
    };
    return { ...figures, missed: missedGates(figures, gates), ...(failure && { failure: failure.toFact() }), items };
  }
}

/** Gates that were missed. What is not known does not pass one. */
function missedGates(
  { passRate, toolCalls, latencyMs, costUsd }: Pick<SuiteModelView, 'passRate' | 'toolCalls' | 'latencyMs' | 'costUsd'>,
  gates: ModelGates,
): SuiteModelView['missed'] {
  const missed: SuiteModelView['missed'] = [];
  const check = (gate: keyof ModelGates, value: number | undefined, holds: (value: number, limit: number) => boolean): void => {
    const limit = gates[gate];
    if (limit === undefined || (value !== undefined && holds(value, limit))) return;
    missed.push({ gate, limit, ...(value !== undefined && { value }) });
  };
  const atLeast = (value: number, limit: number): boolean => value >= limit;
  const atMost = (value: number, limit: number): boolean => value <= limit;
  check('minPass', passRate, atLeast);
  // A suite without tools, and a model that needed none, have none that is wrong.
  if (toolCalls !== undefined && toolCalls.made > 0) check('minWellFormed', toolCalls.wellFormed / toolCalls.made, atLeast);
  check('maxP95Ms', latencyMs?.p95, atMost);
  check('maxUsd', costUsd, atMost);
  return missed;
}

/** The least of the values that so large a share is not above. @param sorted ascending, not empty */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
