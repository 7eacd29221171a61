import { PROVIDER_KINDS } from '@helixcode/protocol/model/provider-kind';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findModel, listCatalog } from '../src/catalog.ts';
import { costUsd, estimateTokens, FREE, worstCostUsd } from '../src/cost.ts';

describe('the catalog', () => {
  test('every row is of a provider we have, once, with numbers that make sense', () => {
    const names = new Set<string>();
    for (const { vendor, model, capabilities, price } of listCatalog()) {
      const name = `${vendor}/${model}`;
      expect(PROVIDER_KINDS, name).toContain(vendor);
      expect(names.has(name), name).toBe(false);
      names.add(name);
      expect(capabilities.contextTokens, name).toBeGreaterThanOrEqual(8_000);
      expect(capabilities.maxOutputTokens, name).toBeLessThanOrEqual(capabilities.contextTokens ?? 0);
      expect(price.inputUsd, name).toBeLessThanOrEqual(200);
      expect(price.cacheReadUsd ?? 0, name).toBeLessThanOrEqual(price.inputUsd);
    }
    expect(names.size).toBeGreaterThan(200);
  });

  test('a dated release is found under the name of its model, an unknown one not at all', () => {
    expect(findModel('anthropic', 'claude-opus-4-5-20251101')?.model).toBe('claude-opus-4-5');
    expect(findModel('openai', 'gpt-5.2-2025-12-11')?.model).toBe('gpt-5.2');
    expect(findModel('openai', 'gpt-99')).toBeUndefined();
    expect(findModel('nobody', 'gpt-5.2')).toBeUndefined();
  });
});

describe('the price of a call', () => {
  const price = {
    inputUsd: 2,
    outputUsd: 10,
    cacheReadUsd: 0.2,
    cacheWriteUsd: 2.5,
    longPrompt: { aboveTokens: 200_000, inputUsd: 4, outputUsd: 15 },
  };
  const usage = { inputTokens: 100_000, cachedTokens: 60_000, cacheWriteTokens: 30_000, outputTokens: 1000, reasoningTokens: 500 };

  test('what was cached, written to the cache and new has each its own price', () => {
    expect(costUsd(usage, price)).toBeCloseTo((10_000 * 2 + 60_000 * 0.2 + 30_000 * 2.5 + 1000 * 10) / 1e6, 12);
  });

  test('a long prompt makes the whole call dearer', () => {
    expect(costUsd({ ...usage, inputTokens: 300_000, cachedTokens: 0, cacheWriteTokens: 0 }, price)).toBeCloseTo(
      (300_000 * 4 + 1000 * 15) / 1e6,
      12,
    );
  });

  test('one’s own machine bills nothing', () => {
    expect(costUsd(usage, FREE)).toBe(0);
  });

  test('no call costs more than what a budget sets aside for it', () => {
    fc.assert(
      fc.property(
        fc.nat(500_000),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(20_000),
        (inputTokens, cached, written, outputTokens) => {
          const cachedTokens = Math.floor(inputTokens * cached);
          const cacheWriteTokens = Math.floor((inputTokens - cachedTokens) * written);
          const actual = costUsd({ inputTokens, cachedTokens, cacheWriteTokens, outputTokens, reasoningTokens: 0 }, price);
          expect(actual).toBeLessThanOrEqual(worstCostUsd(inputTokens, outputTokens, price) + 1e-9);
        },
      ),
    );
  });

  test('an estimate of tokens errs on the high side for English and code', () => {
    // 44 characters, 10 tokens in the vocabularies of OpenAI and Llama.
    expect(estimateTokens('The quick brown fox jumps over the lazy dog.')).toBeGreaterThanOrEqual(10);
  });
});
