import { createOpenAI } from '@ai-sdk/openai';
import type { ModelPort } from '../model-port.ts';
import { OPENAI_MODEL_LIST } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

const OPENAI = {
  vendor: 'openai',
  baseUrl: 'https://api.openai.com/v1',
  keyVariable: 'OPENAI_API_KEY',
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
} as const;

/** OpenAI by its Responses API. Nothing is stored there: encrypted thoughts travel with the conversation instead. */
export function openai(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    ...OPENAI,
    endsWithoutReason: true,
    wire: { imagesInResults: true },
    model: (settings, request) => createOpenAI(settings).responses(request.model),
    options: (request) => ({
      openai: {
        store: false,
        include: ['reasoning.encrypted_content'],
        // Without it the thoughts are counted but not shown.
        ...(request.reasoning !== undefined && request.reasoning !== 'none' && { reasoningSummary: 'auto' }),
        strictJsonSchema: false,
      },
    }),
  });
}

/** OpenAI by its older chat API, for models and gateways that have only this one. Thoughts stay with the vendor. */
export function openaiChat(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    ...OPENAI,
    wire: { imagesInResults: false },
    model: (settings, request) => createOpenAI(settings).chat(request.model),
    options: () => ({ openai: { store: false, strictJsonSchema: false } }),
  });
}
