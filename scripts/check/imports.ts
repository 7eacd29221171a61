import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { lineAt, listTree } from './tree.ts';

/** One file naming another one of the tree. */
export interface Import {
  from: string;
  /** Line of the name, from 1. */
  line: number;
  /** As it is written. */
  name: string;
  /** The file meant, relative to the root of the tree; it need not exist. */
  to: string;
  /** `import` loads the code, or the types, of `to`; `start` only finds its place, to run it as a program. */
  how: 'import' | 'start';
}

const PATTERNS: { pattern: RegExp; how: Import['how'] }[] = [
  // import x from '…', import '…', export … from '…', over several lines too.
  { pattern: /^[ \t]*(?:import|export)\b(?:[^'"`;()=]*?\bfrom)?\s*(['"])([^'"\n]+)\1/gm, how: 'import' },
  { pattern: /\bimport\(\s*(['"])([^'"\n]+)\1/g, how: 'import' },
  { pattern: /\bimport\.meta\.resolve\(\s*(['"])([^'"\n]+)\1/g, how: 'start' },
  { pattern: /\bnew URL\(\s*(['"])(\.[^'"\n]*)\1\s*,\s*import\.meta\.url/g, how: 'start' },
];

/** Every import between files of the tree, type-only ones too. Packages from elsewhere are left out. */
export function listImports(root: string): Import[] {
  return listTree(root, ['.ts', '.tsx', '.mts', '.js', '.mjs', '.cjs'])
    .filter((file) => !file.startsWith('examples/sample-repo/'))
    .flatMap((file) => importsOf(root, file, readFileSync(path.join(root, file), 'utf8')));
}

function importsOf(root: string, from: string, source: string): Import[] {
  return PATTERNS.flatMap(({ pattern, how }) =>
    [...source.matchAll(pattern)].flatMap((match) => {
      const name = match[2] as string;
      const to = resolveName(root, from, name);
      return to === undefined ? [] : [{ from, line: lineAt(source, match.index + match[0].length), name, to, how }];
    }),
  );
}

function resolveName(root: string, from: string, name: string): string | undefined {
  if (name.startsWith('.')) return path.posix.join(path.posix.dirname(from), name);
  const own = /^@helixcode\/([^/]+)(?:\/(.+))?$/.exec(name);
  if (!own) return undefined;
  const [, packageName, inner] = own;
  if (inner === undefined || inner === 'package.json') return `packages/${packageName}/package.json`;
  const file = `packages/${packageName}/src/${inner}`;
  return existsSync(path.join(root, `${file}.tsx`)) ? `${file}.tsx` : `${file}.ts`;
}
