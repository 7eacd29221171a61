import { createDeepSeek } from '@ai-sdk/deepseek';
import type { ModelPort } from '../model-port.ts';
import { OPENAI_MODEL_LIST } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** DeepSeek, with its thoughts. */
export function deepseek(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'deepseek',
    baseUrl: 'https://api.deepseek.com',
    keyVariable: 'DEEPSEEK_API_KEY',
    wire: { imagesInResults: false },
    usual: {
      contextTokens: undefined,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: false,
      structuredOutput: 'json',
      promptCache: 'automatic',
    },
    modelList: OPENAI_MODEL_LIST,
    model: (settings, request) => createDeepSeek(settings)(request.model),
  });
}
