import { createGoogle } from '@ai-sdk/google';
import type { ModelPort } from '../model-port.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Google's Gemini. Its thoughts come as summaries, its thought signatures travel with the calls they belong to. */
export function gemini(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'gemini',
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
    keyVariable: 'GEMINI_API_KEY',
    wire: { imagesInResults: false },
    usual: {
      contextTokens: 1_048_576,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: true,
      structuredOutput: 'schema',
      promptCache: 'automatic',
    },
    modelList: { path: '/models?pageSize=1000', auth: (apiKey) => ({ 'x-goog-api-key': apiKey }), checksKey: true },
    model: (settings, request) => createGoogle(settings)(request.model),
    options: (request) => ({
      google: { ...(request.reasoning !== undefined && request.reasoning !== 'none' && { thinkingConfig: { includeThoughts: true } }) },
    }),
  });
}
