import { readFileSync } from 'node:fs';
import path from 'node:path';
import { REQUIREMENTS } from '../../test/requirements.ts';
import { lineAt, listTree, repository } from './tree.ts';

/** The first argument of a test or a group of tests, as it is written. */
const TITLE = /^[ \t]*(?:test|it|describe|suite)\b[^'"`\n]*\(\s*(['"`])((?:\\.|(?!\1).)*)\1/gms;
/** One or several at the end: `a killed daemon loses nothing [W7] [T9]`. */
const CITED = /(?:\s*\[[A-Z]\d+\])+$/;

interface Citation {
  id: string;
  file: string;
  line: number;
}

/**
 * Tests cite requirements that exist.
 *
 * @returns one `file:line: problem` per unknown id
 */
export function checkRequirements(root = repository): string[] {
  return citationsOf(root).flatMap(({ id, file, line }) =>
    id in REQUIREMENTS ? [] : [`${file}:${line}: the test cites ${id}, which is not in test/requirements.ts`],
  );
}

/** The requirements that some test cites, in the order of the list. */
export function citedRequirements(root = repository): { cited: string[]; all: string[] } {
  const cited = new Set(citationsOf(root).map(({ id }) => id));
  const all = Object.keys(REQUIREMENTS);
  return { cited: all.filter((id) => cited.has(id)), all };
}

function citationsOf(root: string): Citation[] {
  return listTree(root, ['.test.ts']).flatMap((file) => {
    const text = readFileSync(path.join(root, file), 'utf8');
    return [...text.matchAll(TITLE)].flatMap(({ index, 0: whole, 2: title = '' }) => {
      const [end = ''] = CITED.exec(title) ?? [];
      return [...end.matchAll(/[A-Z]\d+/g)].map(([id]) => ({ id, file, line: lineAt(text, index + whole.length) }));
    });
  });
}
