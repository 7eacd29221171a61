import { createMistral } from '@ai-sdk/mistral';
import type { ModelPort } from '../model-port.ts';
import { OPENAI_MODEL_LIST } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Mistral. Whether it thinks is decided by the choice of the model. */
export function mistral(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'mistral',
    baseUrl: 'https://api.mistral.ai/v1',
    keyVariable: 'MISTRAL_API_KEY',
    wire: { imagesInResults: false },
    usual: {
      contextTokens: undefined,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: false,
      images: true,
      structuredOutput: 'schema',
      promptCache: 'automatic',
    },
    modelList: OPENAI_MODEL_LIST,
    model: (settings, request) => createMistral(settings)(request.model),
  });
}
