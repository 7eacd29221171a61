import type { LanguageModelV4, LanguageModelV4StreamPart, SharedV4ProviderOptions } from '@ai-sdk/provider';
import type { CodedError } from '@helixcode/protocol/errors';
import { findModel } from '../catalog.ts';
import { costUsd, FREE } from '../cost.ts';
import type { ConfigReport, JsonObject, ModelCapabilities, ModelPort, ModelPrice, ModelRequest, ModelUsage } from '../model-port.ts';
import { askModelList, type ModelList } from './model-list.ts';
import { DEFAULT_SILENCE_MS, type ProviderConfig, problemsOfConfig } from './provider-config.ts';
import { toCallOptions, type WireAbilities } from './sdk-prompt.ts';
import { streamSdk } from './sdk-stream.ts';
import type { VendorCall } from './vendor-error.ts';
import { vendorFetch } from './vendor-fetch.ts';

type Finish = Extract<LanguageModelV4StreamPart, { type: 'finish' }>;

/** What an adapter gives to the vendor's factory of the SDK. */
export interface SdkSettings {
  baseURL: string;
  apiKey: string;
  headers: Record<string, string>;
  fetch: typeof fetch;
}

/** What one vendor is like: the whole of an adapter. */
export interface SdkVendor {
  /** Its name in the catalog. */
  vendor: string;
  baseUrl: string | undefined;
  /** Environment variable that people keep the key in; absent for servers that need none. */
  keyVariable?: string;
  wire: WireAbilities;
  /** Of models the catalog does not know. */
  usual: Omit<ModelCapabilities, 'isKnown'>;
  /** Runs on the user's own machines: nothing is billed. */
  isLocal?: boolean;
  modelList: ModelList;
  /** Says nothing of why it stopped when all is well. */
  endsWithoutReason?: boolean;
  /** The command that gets a model which is not there. */
  getModel?(model: string): string;
  model(settings: SdkSettings, request: ModelRequest): LanguageModelV4;
  options?(request: ModelRequest): SharedV4ProviderOptions;
  /** Last change to a request as it goes out: where the SDK would ask for something else than we did. */
  rewrite?(body: JsonObject, request: ModelRequest): JsonObject;
  /** The vendor's own bill, or a correction of ours. */
  costUsd?(usage: ModelUsage, finish: Finish, price: ModelPrice | undefined): number | undefined;
}

/** Makes a provider of the port out of a vendor of the SDK. Throws nothing: what is wrong in `config` is told by the first call, or by `validateConfig`. */
export function sdkProvider(config: ProviderConfig, vendor: SdkVendor): ModelPort {
  const provider = config.name ?? vendor.vendor;
  const baseUrl = (config.baseUrl ?? vendor.baseUrl)?.replace(/\/+$/, '');
  const keyVariable = config.keyVariable ?? vendor.keyVariable;
  const problems = problemsOfConfig(config, provider, { keyVariable, baseUrl });

  const priceOf = (model: string): ModelPrice | undefined =>
    config.models?.[model]?.price ?? (vendor.isLocal ? FREE : findModel(vendor.vendor, model)?.price);
  const vendorCall = (model: string): VendorCall => ({
    provider,
    model,
    keyVariable,
    getModel: vendor.getModel?.(model),
    // Gateways are given their keys in headers.
    secrets: [...(config.apiKey ? [config.apiKey] : []), ...Object.values(config.headers ?? {})],
  });

  return {
    provider,

    async *stream(request, signal) {
      const problem = problems[0];
      if (problem !== undefined || baseUrl === undefined) {
        yield { type: 'error', error: problem as CodedError, partial: { role: 'assistant', parts: [] } };
        return;
      }
      const settings: SdkSettings = {
        baseURL: baseUrl,
        // Servers without keys are sent none; the SDK must not go and look for one in the environment.
        apiKey: config.apiKey ?? '',
        headers: config.headers ?? {},
        fetch: rewriting(vendorFetch(baseUrl), (body) => vendor.rewrite?.(body, request) ?? body),
      };
      const { abortSignal: _, ...options } = toCallOptions(request, vendor.wire, signal);
      const providerOptions = vendor.options?.(request);
      yield* streamSdk(
        {
          model: vendor.model(settings, request),
          options: { ...options, ...(providerOptions && { providerOptions }) },
          vendor: vendorCall(request.model),
          silenceMs: config.silenceMs ?? DEFAULT_SILENCE_MS,
          givesReason: !vendor.endsWithoutReason,
          wantsJson: request.output !== undefined,
          costUsd: (usage, finish) => {
            const price = priceOf(request.model);
            return vendor.costUsd?.(usage, finish, price) ?? (price && costUsd(usage, price));
          },
        },
        signal,
      );
    },

    capabilities(model): ModelCapabilities {
      const { price: _, ...overridden } = config.models?.[model] ?? {};
      const known = findModel(vendor.vendor, model);
      return {
        ...vendor.usual,
        ...known?.capabilities,
        ...overridden,
        // How its vendor caches is the same for all its models.
        promptCache: overridden.promptCache ?? vendor.usual.promptCache,
        isKnown: known !== undefined || config.models?.[model] !== undefined,
      };
    },

    price: priceOf,

    async validateConfig(signal): Promise<ConfigReport> {
      if (problems.length > 0 || baseUrl === undefined) return { problems, isKeyChecked: false, models: [] };
      return askModelList({ baseUrl, list: vendor.modelList, config, vendor: vendorCall('its list of models'), signal });
    },
  };
}

function rewriting(send: typeof fetch, rewrite: (body: JsonObject) => JsonObject): typeof fetch {
  return (input, init) =>
    send(input, typeof init?.body === 'string' ? { ...init, body: JSON.stringify(rewrite(JSON.parse(init.body) as JsonObject)) } : init);
}
