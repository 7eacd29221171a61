import pg from 'pg';

const { INT8 } = pg.types.builtins;
/** `bigint[]`, which pg's list does not name. */
const INT8_ARRAY = 1016;

/** How the text of a column becomes a value: pg's ways, but `bigint` as a number while that is exact. */
export const columnTypes: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary' && oid === INT8) return wholeNumber;
    if (format !== 'binary' && oid === INT8_ARRAY) return wholeNumbers;
    return pg.types.getTypeParser(oid, format as 'text');
  },
} as pg.CustomTypesConfig;

function wholeNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** One dimension, which is all we store: `{1,2,NULL}`. */
function wholeNumbers(text: string): (number | bigint | null)[] {
  if (text === '{}') return [];
  return text
    .slice(1, -1)
    .split(',')
    .map((item) => (item === 'NULL' ? null : wholeNumber(item)));
}
