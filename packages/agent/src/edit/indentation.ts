/** How the indentation that was asked for becomes the one of the file. */
export type IndentationChange =
  | { kind: 'same' }
  /** The file has so much more in front. */
  | { kind: 'added'; prefix: string }
  /** The file has so much less in front. */
  | { kind: 'removed'; prefix: string }
  | { kind: 'to_tabs'; width: number }
  | { kind: 'to_spaces'; width: number };

const WIDTHS = [2, 4, 8, 3];

export function indentationOf(line: string): string {
  return /^[ \t]*/.exec(line)?.[0] ?? '';
}

/**
 * The one change that turns the indentation of every asked line into that of its line in the file.
 *
 * @param pairs asked and found indentation of each line that is not blank
 * @returns `undefined` where no single change does: then the lines are not the same text, indented otherwise
 */
export function indentationChange(pairs: readonly { asked: string; found: string }[]): IndentationChange | undefined {
  const isChange = (change: IndentationChange): boolean => pairs.every(({ asked, found }) => indentBy(asked, change) === found);
  if (isChange({ kind: 'same' })) return { kind: 'same' };
  const [first] = pairs;
  if (first === undefined) return { kind: 'same' };
  if (first.found.endsWith(first.asked)) {
    const change = { kind: 'added', prefix: first.found.slice(0, first.found.length - first.asked.length) } as const;
    if (isChange(change)) return change;
  }
  if (first.asked.endsWith(first.found)) {
    const change = { kind: 'removed', prefix: first.asked.slice(0, first.asked.length - first.found.length) } as const;
    if (isChange(change)) return change;
  }
  const fitting = (kind: 'to_tabs' | 'to_spaces'): IndentationChange[] =>
    WIDTHS.map((width) => ({ kind, width })).filter((change) => isChange(change));
  // Several widths fit only where the lines are not indented at all, which is `same`.
  return [...fitting('to_tabs'), ...fitting('to_spaces')][0];
}

/** The indentation after the change; `undefined` where the change cannot be made to it. */
export function indentBy(indentation: string, change: IndentationChange): string | undefined {
  switch (change.kind) {
    case 'same':
      return indentation;
    case 'added':
      return change.prefix + indentation;
    case 'removed':
      return indentation.startsWith(change.prefix) ? indentation.slice(change.prefix.length) : undefined;
    case 'to_tabs':
      return /^ *$/.test(indentation) && indentation.length % change.width === 0
        ? '\t'.repeat(indentation.length / change.width)
        : undefined;
    case 'to_spaces':
      return /^\t*$/.test(indentation) ? ' '.repeat(indentation.length * change.width) : undefined;
  }
}

export function describeChange(change: IndentationChange): string | undefined {
  const name = (prefix: string): string =>
    `${prefix.length} ${/^\t+$/.test(prefix) ? 'tab(s)' : /^ +$/.test(prefix) ? 'space(s)' : 'tabs and spaces'}`;
  switch (change.kind) {
    case 'same':
      return undefined;
    case 'added':
      return `the file is indented by ${name(change.prefix)} more, and so is what was written`;
    case 'removed':
      return `the file is indented by ${name(change.prefix)} less, and so is what was written`;
    case 'to_tabs':
      return `the file is indented by tabs, ${change.width} spaces each, and so is what was written`;
    case 'to_spaces':
      return `the file is indented by ${change.width} spaces, and so is what was written`;
  }
}
