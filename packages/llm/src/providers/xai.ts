import { createXai } from '@ai-sdk/xai';
import type { ModelPort } from '../model-port.ts';
import { OPENAI_MODEL_LIST } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Grok, by xAI's Responses API. */
export function xai(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'xai',
    baseUrl: 'https://api.x.ai/v1',
    keyVariable: 'XAI_API_KEY',
    wire: { imagesInResults: false },
    usual: {
      contextTokens: undefined,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: true,
      structuredOutput: 'schema',
      promptCache: 'automatic',
    },
    modelList: OPENAI_MODEL_LIST,
    model: (settings, request) => createXai(settings).responses(request.model),
    options: () => ({ xai: { store: false } }),
  });
}
