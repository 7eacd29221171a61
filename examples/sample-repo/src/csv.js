/** Rows of cells. Quoted cells may hold separators, line ends and doubled quotes. Throws with the line of an open quote. */
export function parseCsv(text, separator = ',') {
  const rows = [];
  let row = [];
  let cell = '';
  let quoteLine = 0;
  let line = 1;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
    cell = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '\n') line += 1;
    if (quoteLine > 0) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoteLine = 0;
    } else if (letter === '"' && cell === '') quoteLine = line;
    else if (letter === separator) {
      row.push(cell);
      cell = '';
    } else if (letter === '\n') endRow();
    else if (letter !== '\r' || text[at + 1] !== '\n') cell += letter;
  }
  if (quoteLine > 0) throw new SyntaxError(`the quote opened on line ${quoteLine} is never closed`);
  if (cell !== '' || row.length > 0) endRow();
  return rows;
}

export function writeCsv(rows, separator = ',') {
  const quote = (cell) => {
    const text = String(cell);
    return text.includes(separator) || /["\r\n]/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(quote).join(separator)}\n`).join('');
}
