import type { LanguageModelV4Prompt } from '@ai-sdk/provider';
import { estimateTokens } from '../cost.ts';
import { judgeContext, LEAST_AGENT_CONTEXT_TOKENS, OLLAMA_URL, OllamaAdmin } from '../local/ollama-admin.ts';
import type { ModelPort, ModelRequest } from '../model-port.ts';
import { BEARER } from './model-list.ts';
import { ollamaModel } from './ollama-wire.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Set aside for an answer whose length nobody limited. */
const USUAL_ANSWER_TOKENS = 4096;

/**
 * Models of an Ollama. The context is chosen for every call: left alone, Ollama gives a few thousand tokens and drops what does not fit.
 * It starts at 32k and doubles as a conversation grows, never shrinking: a change makes Ollama load the model anew.
 */
export function ollama(config: ProviderConfig): ModelPort {
  const admin = new OllamaAdmin(config.baseUrl);
  const chosen = new Map<string, number>();

  const chooseContext = async (request: ModelRequest, prompt: LanguageModelV4Prompt): Promise<number> => {
    const { model } = request;
    const configured = config.models?.[model]?.contextTokens;
    if (configured !== undefined) return configured;
    const needed =
      estimateTokens(textOfPrompt(prompt)) +
      estimateTokens(JSON.stringify(request.tools ?? [])) +
      (request.maxOutputTokens ?? USUAL_ANSWER_TOKENS);
    let tokens = chosen.get(model) ?? LEAST_AGENT_CONTEXT_TOKENS;
    while (tokens < needed) tokens *= 2;
    if (tokens !== chosen.get(model)) {
      // An unknown model is refused by the chat itself, in better words.
      const facts = await admin.show(model, AbortSignal.timeout(20_000)).catch(() => undefined);
      if (facts) tokens = judgeContext(facts, undefined, tokens).wantedTokens;
      chosen.set(model, tokens);
    }
    return tokens;
  };

  return sdkProvider(config, {
    vendor: 'ollama',
    baseUrl: OLLAMA_URL,
    isLocal: true,
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
    modelList: { path: '/api/tags', auth: BEARER, checksKey: false },
    getModel: (model) => `helix models pull ${model}`,
    model: (settings, request) => ollamaModel(settings, request.model, (prompt) => chooseContext(request, prompt)),
  });
}

/** All that counts towards the context, without images. */
function textOfPrompt(prompt: LanguageModelV4Prompt): string {
  return JSON.stringify(prompt, (key, value: unknown) => (key === 'data' || key === 'providerOptions' ? undefined : value));
}
