/** "2026-000123-45": year, running number, and two digits that catch any single wrong digit and any two swapped ones. */
export function orderNumber(year, running) {
  const body = `${year}${String(running).padStart(6, '0')}`;
  return `${year}-${String(running).padStart(6, '0')}-${checkOf(body)}`;
}

export function parseOrderNumber(text) {
  const match = /^(\d{4})-(\d{6})-(\d{2})$/.exec(text);
  if (!match || checkOf(match[1] + match[2]) !== match[3]) return undefined;
  return { year: Number(match[1]), running: Number(match[2]) };
}

/** ISO 7064, MOD 97-10. */
function checkOf(digits) {
  return String(98 - ((Number(digits) * 100) % 97)).padStart(2, '0');
}
