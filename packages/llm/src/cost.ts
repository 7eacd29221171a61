import type { ModelPrice, ModelUsage } from './model-port.ts';

/** What runs on one's own machine is not billed. */
export const FREE: ModelPrice = { inputUsd: 0, outputUsd: 0 };

/** The price of a call in US dollars. Thoughts are billed as output. */
export function costUsd(usage: ModelUsage, price: ModelPrice): number {
  const rate = price.longPrompt && usage.inputTokens > price.longPrompt.aboveTokens ? price.longPrompt : price;
  const plainTokens = Math.max(0, usage.inputTokens - usage.cachedTokens - usage.cacheWriteTokens);
  return (
    (plainTokens * rate.inputUsd +
      usage.cachedTokens * (rate.cacheReadUsd ?? rate.inputUsd) +
      usage.cacheWriteTokens * (rate.cacheWriteUsd ?? rate.inputUsd) +
      usage.outputTokens * rate.outputUsd) /
    1_000_000
  );
}

/**
 * The most a call can cost: what a budget sets aside before it is made. All of the prompt counts as new, or as written to a cache
 * where that is dearer.
 */
export function worstCostUsd(promptTokens: number, maxOutputTokens: number, price: ModelPrice): number {
  const rate = price.longPrompt && promptTokens > price.longPrompt.aboveTokens ? price.longPrompt : price;
  return (promptTokens * Math.max(rate.inputUsd, rate.cacheWriteUsd ?? 0) + maxOutputTokens * rate.outputUsd) / 1_000_000;
}

/**
 * Tokens of a text, before any vendor has counted them: for budgets and for the choice of a model, never for a bill. Code and English have
 * 3 to 4 bytes a token, other scripts fewer; 3 errs on the high side.
 */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 3);
}
