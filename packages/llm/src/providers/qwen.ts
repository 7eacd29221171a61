import { createAlibaba } from '@ai-sdk/alibaba';
import type { ModelPort } from '../model-port.ts';
import { OPENAI_MODEL_LIST } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Qwen, at Alibaba's DashScope (the international address; people in China set `baseUrl`). */
export function qwen(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'qwen',
    baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
    keyVariable: 'DASHSCOPE_API_KEY',
    wire: { imagesInResults: false, cacheMark: () => ({ alibaba: { cacheControl: { type: 'ephemeral' } } }) },
    usual: {
      contextTokens: undefined,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: false,
      structuredOutput: 'json',
      promptCache: 'marks',
    },
    modelList: OPENAI_MODEL_LIST,
    model: (settings, request) => createAlibaba(settings)(request.model),
  });
}
