type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/**
 * The one text of a JSON value that is signed: keys in the order of their UTF-16 units, no spaces, numbers and strings as ECMAScript
 * writes them.
 *
 * @throws TypeError for what JSON cannot say: it would be left out without a word, and the signature would not cover it
 * @see RFC 8785 (JSON Canonicalization Scheme)
 */
export function canonicalJson(value: unknown): string {
  return write(value as Json, '');
}

function write(value: Json, path: string): string {
  if (Array.isArray(value)) return `[${value.map((item, index) => write(item, `${path}[${index}]`)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${write(value[key] as Json, `${path}.${key}`)}`).join(',')}}`;
  }
  const isSayable = value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
  if (!isSayable) throw new TypeError(`${path || 'the value'} cannot be written as JSON: ${String(value)}`);
  return JSON.stringify(value);
}
