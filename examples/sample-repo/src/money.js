/** Amounts are whole cents, so that adding them up loses nothing. */

/** "12.34", "1 234.50" or "€ 5" as cents. Throws a RangeError for anything that is not an amount of money. */
export function parseMoney(text) {
  const match = /^(-?)(?:€\s?)?(\d{1,3}(?:[ \u202f]\d{3})+|\d+)(?:\.(\d{1,2}))?$/.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not an amount of money`);
  const [, sign, euros, cents = ''] = match;
  const amount = Number(euros.replace(/\D/g, '')) * 100 + Number(cents.padEnd(2, '0'));
  return sign === '-' ? 0 - amount : amount;
}

/** Cents as "€ 1 234.50". */
export function formatMoney(cents) {
  const whole = String(Math.trunc(Math.abs(cents) / 100)).replace(/\B(?=(\d{3})+$)/g, ' ');
  const rest = String(Math.abs(cents) % 100).padStart(2, '0');
  return `${cents < 0 ? '-' : ''}€ ${whole}.${rest}`;
}

/** `cents` times a factor, rounded half away from zero, the way a till does. */
export function scale(cents, factor) {
  const exact = Math.abs(cents) * factor;
  // A product such as 1.005 * 100 lies a hair below the half it stands for.
  const rounded = Math.round(exact + exact * Number.EPSILON * 4);
  return cents < 0 ? 0 - rounded : rounded;
}

/** Divides `cents` in proportion to `weights`; the parts add up to it exactly, the largest remainders get the odd cents. */
export function allocate(cents, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total <= 0) throw new RangeError('the weights add up to nothing');
  const exact = weights.map((weight) => (cents * weight) / total);
  const parts = exact.map(Math.floor);
  let left = cents - parts.reduce((sum, part) => sum + part, 0);
  const byRemainder = exact.map((value, index) => ({ index, remainder: value - Math.floor(value) }));
  byRemainder.sort((a, b) => b.remainder - a.remainder || a.index - b.index);
  for (const { index } of byRemainder) {
    if (left === 0) break;
    parts[index] += 1;
    left -= 1;
  }
  return parts;
}
