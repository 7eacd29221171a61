import { createAnthropic } from '@ai-sdk/anthropic';
import { costUsd } from '../cost.ts';
import type { JsonObject, ModelPort, ModelRequest } from '../model-port.ts';
import type { ProviderConfig } from './provider-config.ts';
import { sdkProvider } from './sdk-provider.ts';

/** Least thinking budget that Anthropic accepts. */
const MIN_THINKING_TOKENS = 1024;

/** Anthropic by its Messages API: thinking with signatures that travel back, and cache marks of 5 minutes or an hour. */
export function anthropic(config: ProviderConfig): ModelPort {
  return sdkProvider(config, {
    vendor: 'anthropic',
    baseUrl: 'https://api.anthropic.com/v1',
    keyVariable: 'ANTHROPIC_API_KEY',
    wire: { imagesInResults: true, cacheMark: (ttl) => ({ anthropic: { cacheControl: { type: 'ephemeral', ttl } } }) },
    usual: {
      contextTokens: undefined,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: true,
      structuredOutput: 'schema',
      promptCache: 'marks',
    },
    modelList: {
      path: '/models?limit=1000',
      auth: (apiKey) => ({ 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' }),
      checksKey: true,
    },
    model: (settings, request) => createAnthropic(settings)(request.model),
    rewrite: keepOutputLimit,
    costUsd(usage, finish, price) {
      if (!price) return undefined;
      const written = (finish.usage.raw as { cache_creation?: { ephemeral_1h_input_tokens?: number } } | undefined)?.cache_creation;
      // A mark of an hour costs twice the input price; the price table has that of five minutes.
      const hourTokens = written?.ephemeral_1h_input_tokens ?? 0;
      const extraUsd = (hourTokens * (2 * price.inputUsd - (price.cacheWriteUsd ?? price.inputUsd))) / 1_000_000;
      return costUsd(usage, price) + Math.max(0, extraUsd);
    },
  });
}

/**
 * The SDK adds the thinking budget to the output limit. To us the limit is what the whole answer may cost, thoughts included, so the
 * budget is taken out of it.
 */
function keepOutputLimit(body: JsonObject, { maxOutputTokens }: ModelRequest): JsonObject {
  if (maxOutputTokens === undefined || typeof body['max_tokens'] !== 'number' || body['max_tokens'] <= maxOutputTokens) return body;
  const thinking = body['thinking'] as { type: string; budget_tokens?: number } | undefined;
  if (thinking?.budget_tokens === undefined) return { ...body, max_tokens: maxOutputTokens };
  const budgetTokens = Math.min(thinking.budget_tokens, Math.floor(maxOutputTokens / 2));
  // Too small a limit to think within it.
  if (budgetTokens < MIN_THINKING_TOKENS) return { ...body, max_tokens: maxOutputTokens, thinking: { type: 'disabled' } };
  return { ...body, max_tokens: maxOutputTokens, thinking: { ...thinking, budget_tokens: budgetTokens } };
}
