import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { ModelCapabilities, ModelPort } from '../model-port.ts';
import { type ModelList, OPENAI_MODEL_LIST } from './model-list.ts';
import type { ProviderConfig } from './provider-config.ts';
import { type SdkVendor, sdkProvider } from './sdk-provider.ts';

const USUAL: Omit<ModelCapabilities, 'isKnown'> = {
  contextTokens: undefined,
  maxOutputTokens: undefined,
  tools: true,
  reasoning: true,
  images: true,
  structuredOutput: 'schema',
  promptCache: 'automatic',
};

/** Any server that speaks OpenAI's chat API: vLLM, LM Studio, LiteLLM, a company's gateway. */
export function openaiCompatible(config: ProviderConfig): ModelPort {
  return compatible(config, { vendor: 'openai-compatible', baseUrl: undefined });
}

/** Models of many companies at HuggingFace's router. */
export function huggingface(config: ProviderConfig): ModelPort {
  return compatible(config, {
    vendor: 'huggingface',
    baseUrl: 'https://router.huggingface.co/v1',
    keyVariable: 'HF_TOKEN',
    // Public: a wrong key is not noticed here.
    modelList: { ...OPENAI_MODEL_LIST, checksKey: false },
  });
}

/** NVIDIA's NIM: its own cloud, or a container of one's own by `baseUrl`. */
export function nvidia(config: ProviderConfig): ModelPort {
  return compatible(config, {
    vendor: 'nvidia',
    baseUrl: 'https://integrate.api.nvidia.com/v1',
    // A container of one's own asks for no key.
    ...(config.baseUrl === undefined && { keyVariable: 'NVIDIA_API_KEY' }),
    modelList: { ...OPENAI_MODEL_LIST, checksKey: false },
  });
}

/** llama.cpp's own server. */
export function llamaServer(config: ProviderConfig): ModelPort {
  return compatible(config, { vendor: 'llama-server', baseUrl: 'http://127.0.0.1:8080/v1', isLocal: true });
}

interface Compatible {
  vendor: string;
  baseUrl: string | undefined;
  keyVariable?: string;
  modelList?: ModelList;
  isLocal?: boolean;
}

function compatible(config: ProviderConfig, what: Compatible): ModelPort {
  const vendor: SdkVendor = {
    ...what,
    wire: { imagesInResults: false },
    usual: USUAL,
    modelList: what.modelList ?? OPENAI_MODEL_LIST,
    model: ({ apiKey, ...settings }, request) =>
      createOpenAICompatible({
        ...settings,
        ...(apiKey !== '' && { apiKey }),
        name: what.vendor,
        includeUsage: true,
        supportsStructuredOutputs: true,
      })(request.model),
  };
  return sdkProvider(config, vendor);
}
