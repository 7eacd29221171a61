import { listCatalog } from '@helixcode/llm/catalog';
import { discoverLocal, type LocalModel } from '@helixcode/llm/local/discover-local';
import { OLLAMA_URL } from '@helixcode/llm/local/ollama-admin';
import type { ModelPort } from '@helixcode/llm/model-port';
import { splitModelName } from '@helixcode/llm/providers/open-provider';
import type { ModelView } from '@helixcode/protocol/api/model-views';
import type { ProvidersConfig } from '@helixcode/protocol/config/providers-config';
import { MODEL_PURPOSES } from '@helixcode/protocol/model/model-purpose';
import type { KnownProvider, ModelProviders } from './model-providers.ts';

/** llama.cpp's server, unless it was told otherwise. */
const LLAMA_SERVER_URL = 'http://127.0.0.1:8080/v1';

/** Names in `helix.json`: in routes and defaults, and where facts of a model are given. */
export function configuredModels(config: ProvidersConfig, providers: Pick<ModelProviders, 'list'>): string[] {
  const named = [...config.default, ...Object.values(config.routes).flatMap((models) => models ?? [])];
  const described = providers
    .list()
    .flatMap(({ name, entry }) => Object.keys({ ...entry?.models, ...entry?.transcripts }).map((model) => `${name}/${model}`));
  return [...new Set([...named, ...described])];
}

/** All models that a person may want to name, those of `helix.json` first. */
export async function listModels(
  config: ProvidersConfig,
  providers: ModelProviders,
  withCatalog: boolean,
  signal: AbortSignal,
): Promise<ModelView[]> {
  const known = providers.list();
  const views = new Map<string, ModelView>();
  const add = async (name: string, source: ModelView['source'], local?: LocalModel): Promise<void> => {
    if (views.has(name)) return;
    const { provider, model } = splitModelName(name) ?? { provider: name, model: '' };
    views.set(name, viewModel(name, model, source, await providers.open(provider), config, local));
  };

  const local = config.discoverLocal ? await findLocal(known, signal) : new Map<string, LocalModel>();
  for (const name of configuredModels(config, providers)) await add(name, 'configured', local.get(name));
  for (const [name, model] of local) await add(name, 'local', model);
  if (withCatalog) {
    for (const provider of known.filter(({ hasKey }) => hasKey)) {
      const vendor = provider.kind === 'openai-chat' ? 'openai' : provider.kind;
      for (const row of listCatalog()) if (row.vendor === vendor) await add(`${provider.name}/${row.model}`, 'catalog');
    }
  }
  return [...views.values()];
}

/** Models of the servers without keys that answer at present, by full name. */
async function findLocal(known: KnownProvider[], signal: AbortSignal): Promise<Map<string, LocalModel>> {
  const names = new Map<string, string>();
  for (const { name, kind, entry, keyVariable } of known) {
    if (keyVariable !== undefined) continue;
    const baseUrl = entry?.baseUrl ?? (kind === 'ollama' ? OLLAMA_URL : kind === 'llama-server' ? LLAMA_SERVER_URL : undefined);
    if (baseUrl !== undefined) names.set(new URL(baseUrl).origin, name);
  }
  const servers = await discoverLocal(signal, [...names.keys()]);
  return new Map(
    servers.flatMap(({ baseUrl, models }) => {
      const provider = names.get(new URL(baseUrl).origin);
      return models.map((model) => [`${provider}/${model.name}`, model] as const);
    }),
  );
}

function viewModel(
  name: string,
  model: string,
  source: ModelView['source'],
  port: ModelPort,
  config: ProvidersConfig,
  local: LocalModel | undefined,
): ModelView {
  const { contextTokens = local?.contextTokens, maxOutputTokens, tools, reasoning, images } = port.capabilities(model);
  const price = port.price(model);
  const placeFor = (purpose: (typeof MODEL_PURPOSES)[number]): number => (config.routes[purpose] ?? config.default).indexOf(name);
  return {
    name,
    source,
    purposes: MODEL_PURPOSES.filter((purpose) => placeFor(purpose) === 0),
    standsInFor: MODEL_PURPOSES.filter((purpose) => placeFor(purpose) > 0),
    ...(contextTokens !== undefined && { contextTokens }),
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    tools,
    reasoning,
    images,
    ...(price && { price: { inputUsd: price.inputUsd, outputUsd: price.outputUsd } }),
    ...(local?.sizeBytes !== undefined && { sizeBytes: local.sizeBytes }),
    ...(local?.parameters !== undefined && { parameters: local.parameters }),
    ...(local?.quantisation !== undefined && { quantisation: local.quantisation }),
  };
}
