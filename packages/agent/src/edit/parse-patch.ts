/** One place of a file that a patch changes. */
export interface Hunk {
  /** A line that stands before the place; narrows the search. */
  anchor: string | undefined;
  /** Lines as they are, and as they are to be, context included; each ends with a line feed. */
  oldText: string;
  newText: string;
  /** The place is the end of the file. */
  isAtEnd: boolean;
}

export type PatchOperation =
  | { kind: 'add'; path: string; text: string }
  | { kind: 'delete'; path: string }
  | { kind: 'update'; path: string; moveTo: string | undefined; hunks: Hunk[] };

const BEGIN = '*** Begin Patch';
const END = '*** End Patch';
const END_OF_FILE = '*** End of File';

/**
 * Reads a patch in the form that some models are trained on: `*** Begin Patch`, then `*** Add File: `, `*** Delete File: ` and `*** Update File: ` with hunks of lines
 * that begin with a space, `-` or `+`, then `*** End Patch`.
 */
export function parsePatch(text: string): { operations: PatchOperation[] } | { problem: string } {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  while (lines.at(-1)?.trim() === '') lines.pop();
  const first = lines.findIndex((line) => line.trim() !== '');
  if (lines[first]?.trim() !== BEGIN) return { problem: `the first line must be "${BEGIN}"` };
  if (lines.at(-1)?.trim() !== END) return { problem: `the last line must be "${END}"` };

  const operations: PatchOperation[] = [];
  let hunk: Hunk | undefined;
  for (let at = first + 1; at < lines.length - 1; at++) {
    const line = lines[at] ?? '';
    const current = operations.at(-1);
    const wrong = (why: string): { problem: string } => ({
      problem: `line ${at + 1} of the patch ${why}: ${JSON.stringify(line.slice(0, 100))}`,
    });
    const heading = /^\*\*\* (Add File|Delete File|Update File|Move to): (.*\S)\s*$/.exec(line);
    if (heading) {
      const path = heading[2] as string;
      hunk = undefined;
      if (heading[1] === 'Add File') operations.push({ kind: 'add', path, text: '' });
      else if (heading[1] === 'Delete File') operations.push({ kind: 'delete', path });
      else if (heading[1] === 'Update File') operations.push({ kind: 'update', path, moveTo: undefined, hunks: [] });
      else if (current?.kind === 'update' && current.hunks.length === 0 && current.moveTo === undefined) current.moveTo = path;
      else return wrong('may only stand right behind "*** Update File"');
    } else if (current === undefined) {
      return wrong('names no file; begin with "*** Update File: path"');
    } else if (current.kind === 'delete') {
      if (line.trim() !== '') return wrong('is too much: a file that is deleted has no lines');
    } else if (current.kind === 'add') {
      if (!line.startsWith('+')) return wrong('must begin with "+", as every line of a new file');
      current.text += `${line.slice(1)}\n`;
    } else if (line.startsWith('@@')) {
      hunk = { anchor: line.slice(2).trim() || undefined, oldText: '', newText: '', isAtEnd: false };
      current.hunks.push(hunk);
    } else if (line.trim() === END_OF_FILE) {
      if (hunk === undefined) return wrong('must end a hunk');
      hunk.isAtEnd = true;
      hunk = undefined;
    } else {
      if (hunk === undefined) {
        hunk = { anchor: undefined, oldText: '', newText: '', isAtEnd: false };
        current.hunks.push(hunk);
      }
      // An empty line is meant as an empty line of context.
      const sign = line === '' ? ' ' : line[0];
      if (sign !== ' ' && sign !== '-' && sign !== '+') return wrong('must begin with a space, "-" or "+"');
      if (sign !== '+') hunk.oldText += `${line.slice(1)}\n`;
      if (sign !== '-') hunk.newText += `${line.slice(1)}\n`;
    }
  }
  return operations.length === 0 ? { problem: 'the patch changes no file' } : check(operations);
}

function check(operations: PatchOperation[]): { operations: PatchOperation[] } | { problem: string } {
  const seen = new Set<string>();
  for (const operation of operations) {
    const paths = [operation.path, ...(operation.kind === 'update' && operation.moveTo !== undefined ? [operation.moveTo] : [])];
    for (const path of paths) {
      if (seen.has(path)) return { problem: `${path} is in the patch twice; put all its hunks under one heading` };
      seen.add(path);
    }
    if (operation.kind !== 'update') continue;
    if (operation.hunks.length === 0 && operation.moveTo === undefined)
      return { problem: `the patch changes nothing in ${operation.path}` };
    const empty = operation.hunks.findIndex(({ oldText, newText }) => oldText === newText);
    if (empty !== -1) return { problem: `hunk ${empty + 1} of ${operation.path} changes nothing: mark lines with "-" and "+"` };
  }
  return { operations };
}
