import { parseCsv } from './csv.js';
import { parseMoney } from './money.js';

/**
 * Puts a supplier's list (name, price, category) into the catalog: new products are added, known ones get their new price.
 * Bad rows are told with their number and skipped.
 */
export function importPriceList(catalog, text, { separator = ',' } = {}) {
  const [header = [], ...rows] = parseCsv(text, separator);
  const column = (name) => {
    const index = header.findIndex((cell) => cell.trim().toLowerCase() === name);
    if (index === -1) throw new SyntaxError(`the list has no column "${name}"`);
    return index;
  };
  const [nameColumn, priceColumn, categoryColumn] = ['name', 'price', 'category'].map(column);
  const known = new Map(catalog.all().map((product) => [product.name, product]));
  const report = { added: 0, repriced: 0, unchanged: 0, problems: [] };
  for (const [index, row] of rows.entries()) {
    try {
      const name = row[nameColumn]?.trim() ?? '';
      const priceCents = parseMoney(row[priceColumn] ?? '');
      const product = known.get(name);
      if (!product) {
        known.set(name, catalog.add({ name, priceCents, category: row[categoryColumn]?.trim() ?? '' }));
        report.added += 1;
      } else if (product.priceCents === priceCents) report.unchanged += 1;
      else {
        known.set(name, catalog.reprice(product.id, priceCents));
        report.repriced += 1;
      }
    } catch (error) {
      report.problems.push(`row ${index + 2}: ${error.message}`);
    }
  }
  return report;
}
