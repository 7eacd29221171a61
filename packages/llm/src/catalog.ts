import { CATALOG, type CatalogRow } from './catalog-data.ts';

import type { ModelCapabilities, ModelPrice } from './model-port.ts';

export interface CatalogModel {
  vendor: string;
  model: string;
  capabilities: Pick<ModelCapabilities, 'contextTokens' | 'maxOutputTokens' | 'tools' | 'reasoning' | 'images' | 'structuredOutput'>;
  price: ModelPrice;
}

/** Every model we have facts of. */
export function listCatalog(): CatalogModel[] {
  return Object.entries(CATALOG).flatMap(([vendor, rows]) => rows.map((row) => toModel(vendor, row)));
}

/**
 * The facts of a model, by its own name, or by its name with a date behind it (`claude-opus-4-5-20251101`, `gpt-5.2-2025-12-11`):
 * vendors date the releases of one model, at one price.
 */
export function findModel(vendor: string, model: string): CatalogModel | undefined {
  const rows = CATALOG[vendor];
  const undated = model.replace(/[-@](?:20\d{6}|20\d\d-\d\d-\d\d|latest)$/, '');
  const row = rows?.find(([name]) => name === model) ?? rows?.find(([name]) => name === undated);
  return row && toModel(vendor, row);
}

function toModel(vendor: string, row: CatalogRow): CatalogModel {
  const [model, contextTokens, maxOutputTokens, inputUsd, outputUsd, cacheReadUsd, cacheWriteUsd, abilities, longPrompt] = row;
  return {
    vendor,
    model,
    capabilities: {
      contextTokens,
      maxOutputTokens,
      tools: abilities.includes('t'),
      reasoning: abilities.includes('r'),
      images: abilities.includes('i'),
      structuredOutput: abilities.includes('s') ? 'schema' : 'json',
    },
    price: {
      inputUsd,
      outputUsd,
      ...(cacheReadUsd !== null && { cacheReadUsd }),
      ...(cacheWriteUsd !== null && { cacheWriteUsd }),
      ...(longPrompt && {
        longPrompt: {
          aboveTokens: longPrompt[0],
          inputUsd: longPrompt[1],
          outputUsd: longPrompt[2],
          ...(longPrompt[3] !== null && { cacheReadUsd: longPrompt[3] }),
          ...(longPrompt[4] !== null && { cacheWriteUsd: longPrompt[4] }),
        },
      }),
    },
  };
}
