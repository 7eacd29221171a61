/** One page of a list, with what a page needs to know about the others. Pages count from 1. */
export function pageOf(items, { page = 1, size = 20 } = {}) {
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`a page cannot hold ${size} items`);
  const pages = Math.max(1, Math.ceil(items.length / size));
  if (!Number.isInteger(page) || page < 1 || page > pages) throw new RangeError(`there is no page ${page} of ${pages}`);
  const start = (page - 1) * size;
  return { items: items.slice(start, start + size), page, pages, total: items.length, hasNext: page < pages, hasPrevious: page > 1 };
}

/** The page numbers to show: first, last, and some around the current one; `undefined` stands for a gap. */
export function pageLinks(page, pages, around = 1) {
  const shown = [];
  for (let number = 1; number <= pages; number += 1) {
    const isShown = number === 1 || number === pages || Math.abs(number - page) <= around;
    if (isShown) shown.push(number);
    else if (shown.at(-1) !== undefined) shown.push(undefined);
  }
  return shown;
}
