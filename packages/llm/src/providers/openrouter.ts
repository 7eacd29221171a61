import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import type { ModelPort } from '../model-port.ts';
import { BEARER } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Any model that OpenRouter sells, billed as OpenRouter itself reports it. */
export function openrouter(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'openrouter',
    baseUrl: 'https://openrouter.ai/api/v1',
    keyVariable: 'OPENROUTER_API_KEY',
    wire: { imagesInResults: false, cacheMark: (ttl) => ({ openrouter: { cacheControl: { type: 'ephemeral', ttl } } }) },
    usual: {
      contextTokens: undefined,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: true,
      structuredOutput: 'schema',
      promptCache: 'marks',
    },
    // Its list of models is public: only the account tells whether a key is good.
    modelList: { path: '/key', auth: BEARER, checksKey: true },
    model: ({ baseURL, ...settings }, request) =>
      createOpenRouter({ ...settings, baseURL, compatibility: 'strict' }).chat(request.model, {
        usage: { include: true },
        ...(request.reasoning !== undefined && { reasoning: { effort: request.reasoning } }),
      }),
    costUsd: (_usage, finish) => (finish.providerMetadata?.['openrouter'] as { usage?: { cost?: number } } | undefined)?.usage?.cost,
  });
}
