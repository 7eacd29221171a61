import type { Style } from './style.ts';
import { oneLine, padText, textWidth } from './text-width.ts';

export interface Column<Row> {
  title: string;
  cell: (row: Row) => string;
  /** How the padded cell looks on a terminal. */
  look?: (text: string, row: Row) => string;
}

/** On a terminal: columns under titles. In a pipe: tab-separated cells, no titles, one row per line. */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], options: { isTty: boolean; style: Style }): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.cell(row))));
  if (!options.isTty) return cells.map((line) => `${line.join('\t')}\n`).join('');
  const widths = columns.map((column, index) => Math.max(textWidth(column.title), ...cells.map((line) => textWidth(line[index] ?? ''))));
  const header = columns
    .map((column, index) => padText(column.title.toUpperCase(), widths[index] ?? 0))
    .join('  ')
    .trimEnd();
  const lines = rows.map((row, rowIndex) =>
    columns
      .map((column, index) => {
        const text = cells[rowIndex]?.[index] ?? '';
        const padded = index === columns.length - 1 ? text : padText(text, widths[index] ?? 0);
        return column.look ? column.look(padded, row) : padded;
      })
      .join('  ')
      .trimEnd(),
  );
  return [options.style.dim(header), ...lines].map((line) => `${line}\n`).join('');
}
