import { collect } from '@helixcode/llm/model-port';
import type { Trial } from '@helixcode/llm/trials/trial';
import type { ProvidersConfig } from '@helixcode/protocol/config/providers-config';
import { CodedError } from '@helixcode/protocol/errors';
import type { UserId } from '@helixcode/protocol/ids';
import type { Handlers } from '../http/handler.ts';
import { fitModel, type NamedMachine } from './fit-model.ts';
import { configuredModels, listModels } from './list-models.ts';
import type { ModelGateway } from './model-gateway.ts';
import type { ModelProviders } from './model-providers.ts';
import { pullModel } from './pull-model.ts';
import { runSuite } from './run-suite.ts';
import { tryModel } from './try-model.ts';

export interface ModelHandlerDeps {
  config: ProvidersConfig;
  providers: ModelProviders;
  gateway: ModelGateway;
  /** The suite `coding`: what is written runs on workers. */
  codingTrials(user: UserId): Trial[];
  /** Of the server and of the workers, as they are at present. */
  machines(): NamedMachine[];
}

type ModelRoutes = 'models.list' | 'models.test' | 'models.suite' | 'models.fit' | 'models.pull' | 'models.record';

export function modelHandlers({ config, providers, gateway, codingTrials, machines }: ModelHandlerDeps): Pick<Handlers, ModelRoutes> {
  const namedOrAll = (named: string[] | undefined): string[] => {
    const names = named ?? configuredModels(config, providers);
    if (names.length > 0) return [...new Set(names)];
    throw new CodedError('model.not_configured', 'no model is configured', {
      next: 'name one in providers.default of helix.json, or: helix models test --models provider/model',
    });
  };
  return {
    'models.list': async ({ query, signal }) => ({
      providers: providers.list().map(({ name, kind, entry, keyVariable, hasKey }) => ({
        name,
        kind,
        hasKey,
        ...(entry?.baseUrl !== undefined && { baseUrl: entry.baseUrl }),
        ...(keyVariable !== undefined && { keyVariable }),
      })),
      items: await listModels(config, providers, query.catalog, signal),
    }),

    'models.test': async ({ body, user, signal }) => {
      const names = namedOrAll(body.models);
      return { items: await Promise.all(names.map((name) => tryModel({ gateway, providers }, name, user, signal))) };
    },

    'models.suite': async ({ body, user, signal }) => {
      if (body.strategy !== undefined && body.suite !== 'reasoning')
        throw new CodedError('api.bad_request', `strategy is for the suite reasoning; the suite ${body.suite} has none`, {
          next: 'helix models test --suite reasoning',
        });
      const order = { ...body, models: namedOrAll(body.models), gates: { ...config.gates, ...body.gates } };
      return {
        body: runSuite({ gateway, providers, codingTrials }, order, user, signal),
        headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' },
      };
    },

    'models.fit': ({ query, signal }) => {
      const ollamas = providers.list().filter(({ kind }) => kind === 'ollama');
      return fitModel(
        query,
        machines(),
        ollamas.map(({ entry }) => entry?.baseUrl),
        signal,
      );
    },

    'models.pull': async ({ body, signal }) => ({
      body: await pullModel(providers, body, signal),
      headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' },
    }),

    'models.record': async ({ body, user, signal }) => {
      let transcript = '';
      const call = {
        messages: [{ role: 'user' as const, parts: [{ type: 'text' as const, text: body.prompt }] }],
        ...(body.model !== undefined && { model: body.model }),
      };
      await collect(gateway.stream(call, { purpose: 'agent', user, signal, record: (lines) => void (transcript += lines) }));
      return { body: transcript };
    },
  };
}
