import path from 'node:path';
import type { ModelPort } from '@helixcode/llm/model-port';
import { KEY_VARIABLES, openProvider, splitModelName } from '@helixcode/llm/providers/open-provider';
import type { ProviderConfig } from '@helixcode/llm/providers/provider-config';
import type { Target } from '@helixcode/llm/resilience/resilient-caller';
import { type ProviderEntry, type ProvidersConfig, providerName } from '@helixcode/protocol/config/providers-config';
import { CodedError } from '@helixcode/protocol/errors';
import { isProviderKind, needsNoEntry, PROVIDER_KINDS, type ProviderKind } from '@helixcode/protocol/model/provider-kind';
import { nearestName } from '@helixcode/protocol/nearest-name';

/** A provider of models that can be used by its name. */
export interface KnownProvider {
  name: string;
  kind: ProviderKind;
  entry: ProviderEntry | undefined;
  /** Environment variable its key is taken from; `undefined` for servers without keys. */
  keyVariable: string | undefined;
  hasKey: boolean;
}

/** The providers of this server: those of `helix.json`, and every kind whose name says all. */
export interface ModelProviders {
  /** Those that are configured, those whose key is set, and local servers: not every vendor there is. */
  list(): KnownProvider[];
  /** @throws CodedError `model.config_invalid` when there is none of that name */
  open(name: string): Promise<ModelPort>;
  /** A model by its full name. @throws CodedError `model.config_invalid` */
  target(model: string): Promise<Target>;
}

/**
 * @param env where keys are read, each time a provider is first used
 * @param folder where relative paths of the configuration start
 */
export function createModelProviders(
  config: ProvidersConfig,
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): ModelProviders {
  const entries = new Map(config.pool.map((entry) => [providerName(entry), entry]));
  const ports = new Map<string, Promise<ModelPort>>();

  const find = (name: string): KnownProvider | undefined => {
    const entry = entries.get(name);
    const kind = entry?.kind ?? (isProviderKind(name) && needsNoEntry(name) ? name : undefined);
    if (kind === undefined) return undefined;
    const keyVariable = entry?.apiKeyEnv ?? KEY_VARIABLES[kind];
    return { name, kind, entry, keyVariable, hasKey: keyVariable !== undefined && Boolean(env[keyVariable]) };
  };

  const open = (name: string): Promise<ModelPort> => {
    const known = find(name);
    if (!known) return Promise.reject(noProvider(name, [...entries.keys(), ...PROVIDER_KINDS]));
    let port = ports.get(name);
    if (!port) {
      port = openProvider(known.kind, settingsOf(known, env, folder));
      ports.set(name, port);
    }
    return port;
  };

  return {
    open,
    list() {
      const names = new Set<string>([...entries.keys(), ...PROVIDER_KINDS]);
      return [...names].flatMap((name) => {
        const known = find(name);
        const isLocal = known?.kind === 'ollama' || known?.kind === 'llama-server';
        return known && (known.entry || known.hasKey || isLocal) ? [known] : [];
      });
    },
    async target(fullName) {
      const { provider, model } = splitModelName(fullName) ?? { provider: fullName, model: '' };
      const port = await open(provider);
      if (model === '')
        throw new CodedError('model.config_invalid', `${fullName} is a provider, not a model`, {
          next: `name a model of it, such as ${fullName}/…: helix models list`,
        });
      const entry = entries.get(provider);
      return {
        port,
        model,
        ...(entry?.requestsPerMinute !== undefined && { requestsPerMinute: entry.requestsPerMinute }),
        ...(entry?.tokensPerMinute !== undefined && { tokensPerMinute: entry.tokensPerMinute }),
      };
    },
  };
}

function settingsOf(
  { name, entry, keyVariable }: KnownProvider,
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): ProviderConfig {
  const apiKey = keyVariable === undefined ? undefined : env[keyVariable];
  const models = Object.entries(entry?.models ?? {}).map(([model, facts]) => [model, withoutAbsent(facts)]);
  const transcripts = Object.entries(entry?.transcripts ?? {}).map(([transcript, file]) => [transcript, path.resolve(folder, file)]);
  return {
    name,
    models: Object.fromEntries(models),
    ...(transcripts.length > 0 && { transcripts: Object.fromEntries(transcripts) }),
    ...(entry?.baseUrl !== undefined && { baseUrl: entry.baseUrl }),
    ...(keyVariable !== undefined && { keyVariable }),
    ...(apiKey && { apiKey }),
    ...(entry?.silenceMs !== undefined && { silenceMs: entry.silenceMs }),
  };
}

/** What is not said must not hide what the catalog says. */
function withoutAbsent(facts: object): object {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}

function noProvider(name: string, known: string[]): CodedError {
  const meant = nearestName(name, known);
  return new CodedError('model.config_invalid', `there is no provider ${name}${meant === undefined ? '' : `; did you mean ${meant}?`}`, {
    next: 'helix models list, or add it to providers.pool of helix.json',
  });
}
