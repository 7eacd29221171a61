import type { ModelEvent, ModelRequest } from '@helixcode/llm/model-port';
import { recordingPort } from '@helixcode/llm/replay/record';
import { type ResilienceNotice, ResilientCaller, type Surroundings, type Target } from '@helixcode/llm/resilience/resilient-caller';
import type { ProvidersConfig } from '@helixcode/protocol/config/providers-config';
import { CodedError } from '@helixcode/protocol/errors';
import type { ServerId } from '@helixcode/protocol/ids';
import type { ModelPurpose } from '@helixcode/protocol/model/model-purpose';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import { type Bookkeeping, bookedPort } from './booked-port.ts';
import { budgetsOf, type Payer } from './budget.ts';
import type { ModelProviders } from './model-providers.ts';
import type { OpenRequests } from './open-requests.ts';

export interface ModelCall extends Omit<ModelRequest, 'model'> {
  /** `provider/model`: this one and no other, in place of the models configured for the purpose. */
  model?: string;
}

export interface CallContext extends Payer {
  /** `check`: to learn whether the model works, `trial`: how well; neither has a route of its own. */
  purpose: ModelPurpose | 'check' | 'trial';
  signal: AbortSignal;
  /** Told of waits, retries and fallbacks, for people to see. */
  onNotice?: (notice: ResilienceNotice) => void;
  /** Is given the lines of a transcript of this call, to be played again later. */
  record?: (line: string) => void | Promise<void>;
}

/** The one way to a model: every call is routed, paid for beforehand, retried where that can help, and booked. */
export interface ModelGateway {
  /**
   * Asks a model. A stream as of the port: it never throws, and ends with one `done` or one `error`. Besides the codes of the
   * providers these end it: `model.not_configured`, and at a cap `budget.spent` (ask a person before going on).
   */
  stream(call: ModelCall, context: CallContext): AsyncIterable<ModelEvent>;
  /** The models a call for this purpose may go to, the best first; empty where none is configured. */
  modelsFor(purpose: ModelPurpose): string[];
}

export interface GatewayDeps {
  db: Db;
  log: Logger;
  server: ServerId;
  config: ProvidersConfig;
  providers: Pick<ModelProviders, 'target'>;
  open: OpenRequests;
  surroundings: Surroundings;
}

export function createModelGateway({ db, log, server, config, providers, open, surroundings }: GatewayDeps): ModelGateway {
  const caller = new ResilientCaller(surroundings);
  const books: Bookkeeping = { db, log, server, open, nowMs: surroundings.nowMs };
  const modelsFor = (purpose: CallContext['purpose']): string[] =>
    (purpose === 'check' || purpose === 'trial' ? undefined : config.routes[purpose]) ?? config.default;

  return {
    modelsFor,

    async *stream({ model, ...request }, context) {
      const { purpose, user, run, signal } = context;
      const budgets = budgetsOf(context, config.budgets);
      const booked = (target: Target): Target => {
        const port = bookedPort(target.port, books, { run, user, purpose, budgets });
        return { ...target, port: context.record ? recordingPort(port, context.record) : port };
      };
      let targets: Target[];
      try {
        const names = model === undefined ? modelsFor(purpose) : [model];
        if (names.length === 0) throw notConfigured(purpose);
        targets = await Promise.all(names.map(async (name) => booked(await providers.target(name))));
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        return yield { type: 'error', error, partial: { role: 'assistant', parts: [] } };
      }
      const [first, ...others] = targets as [Target, ...Target[]];
      // Who wants to know whether a model works is told so by the model itself: not kept away from it, and not made to wait.
      if (purpose === 'check') yield* first.port.stream({ ...request, model: first.model }, signal);
      else yield* caller.stream([first, ...others], request, signal, context.onNotice);
    },
  };
}

function notConfigured(purpose: string): CodedError {
  return new CodedError('model.not_configured', `no model is configured for ${purpose}`, {
    next: 'name one in providers.default of helix.json, such as "anthropic/claude-sonnet-4-5": helix models list',
  });
}
