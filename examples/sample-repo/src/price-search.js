import { editDistance, plain } from './text.js';

/**
 * Products that fit what a customer typed, best first: words may be incomplete or misspelt by one letter in four.
 * A product fits when every word of the query fits one of its own.
 */
export function searchProducts(catalog, query, { maxPriceCents = Number.POSITIVE_INFINITY, limit = 10 } = {}) {
  const wanted = wordsOf(query);
  if (wanted.length === 0) return [];
  const hits = [];
  for (const product of catalog.all()) {
    if (product.priceCents > maxPriceCents) continue;
    const score = scoreOf(wanted, wordsOf(product.name));
    if (score !== undefined) hits.push({ product, score });
  }
  hits.sort((a, b) => a.score - b.score || a.product.priceCents - b.product.priceCents || a.product.id.localeCompare(b.product.id));
  return hits.slice(0, limit).map((hit) => hit.product);
}

function scoreOf(wanted, words) {
  let total = 0;
  for (const want of wanted) {
    const best = Math.min(...words.map((word) => penalty(want, word)));
    if (best > want.length / 4) return undefined;
    total += best;
  }
  return total;
}

function penalty(want, word) {
  if (word === want) return 0;
  if (word.startsWith(want)) return 0.1;
  return editDistance(want, word);
}

function wordsOf(text) {
  return plain(text).match(/[a-z0-9]+/g) ?? [];
}
