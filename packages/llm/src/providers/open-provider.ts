import { CodedError } from '@helixcode/protocol/errors';
import { PROVIDER_KINDS, type ProviderKind } from '@helixcode/protocol/model/provider-kind';
import { nearestName } from '@helixcode/protocol/nearest-name';
import type { ModelPort } from '../model-port.ts';
import type { ProviderConfig } from './provider-config.ts';

/** Every kind of provider there is, loaded when first used: each brings an SDK of its own. */
const KINDS = {
  openai: async () => (await import('./openai.ts')).openai,
  'openai-chat': async () => (await import('./openai.ts')).openaiChat,
  anthropic: async () => (await import('./anthropic.ts')).anthropic,
  gemini: async () => (await import('./gemini.ts')).gemini,
  xai: async () => (await import('./xai.ts')).xai,
  deepseek: async () => (await import('./deepseek.ts')).deepseek,
  qwen: async () => (await import('./qwen.ts')).qwen,
  mistral: async () => (await import('./mistral.ts')).mistral,
  openrouter: async () => (await import('./openrouter.ts')).openrouter,
  huggingface: async () => (await import('./openai-compatible.ts')).huggingface,
  nvidia: async () => (await import('./openai-compatible.ts')).nvidia,
  ollama: async () => (await import('./ollama.ts')).ollama,
  'llama-server': async () => (await import('./openai-compatible.ts')).llamaServer,
  'openai-compatible': async () => (await import('./openai-compatible.ts')).openaiCompatible,
  replay: async () => (await import('../replay/replay-provider.ts')).replay,
} satisfies Record<ProviderKind, () => Promise<(config: ProviderConfig) => ModelPort | Promise<ModelPort>>>;

/** Where people usually keep the key of a provider. Those without an entry need none. */
export const KEY_VARIABLES: Partial<Record<ProviderKind, string>> = {
  openai: 'OPENAI_API_KEY',
  'openai-chat': 'OPENAI_API_KEY',
  anthropic: 'ANTHROPIC_API_KEY',
  gemini: 'GEMINI_API_KEY',
  xai: 'XAI_API_KEY',
  deepseek: 'DEEPSEEK_API_KEY',
  qwen: 'DASHSCOPE_API_KEY',
  mistral: 'MISTRAL_API_KEY',
  openrouter: 'OPENROUTER_API_KEY',
  huggingface: 'HF_TOKEN',
  nvidia: 'NVIDIA_API_KEY',
};

/** @throws CodedError `model.config_invalid` for a kind that does not exist */
export async function openProvider(kind: string, config: ProviderConfig): Promise<ModelPort> {
  if (!Object.hasOwn(KINDS, kind)) {
    const meant = nearestName(kind, PROVIDER_KINDS);
    throw new CodedError(
      'model.config_invalid',
      `there is no model provider ${kind}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      {
        next: `choose one of: ${PROVIDER_KINDS.join(', ')}`,
      },
    );
  }
  return (await KINDS[kind as ProviderKind]())(config);
}

/** Splits `openrouter/anthropic/claude-opus-4.6` into the provider and the vendor's own name of the model. */
export function splitModelName(name: string): { provider: string; model: string } | undefined {
  const slash = name.indexOf('/');
  return slash > 0 && slash < name.length - 1 ? { provider: name.slice(0, slash), model: name.slice(slash + 1) } : undefined;
}
