/** The last digit of an EAN-13, from the twelve before it. */
export function checkDigit(digits) {
  if (!/^\d{12}$/.test(digits)) throw new RangeError(`an EAN-13 has twelve digits before its check digit, "${digits}" does not`);
  const sum = [...digits].reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0);
  return (10 - (sum % 10)) % 10;
}

export function isBarcode(text) {
  return /^\d{13}$/.test(text) && checkDigit(text.slice(0, 12)) === Number(text[12]);
}

/** Weighed goods carry their price: "2", five digits of the article, five of the price in cents. */
export function readWeighedBarcode(text) {
  if (!isBarcode(text) || text[0] !== '2') return undefined;
  return { article: text.slice(1, 7), priceCents: Number(text.slice(7, 12)) };
}
