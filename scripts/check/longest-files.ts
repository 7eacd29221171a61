import { listTree, readLines, repository } from './tree.ts';

/** The source files with the most lines, longest first: no failure, but the first to look at when an idea has become two. */
export function longestFiles(count: number, root = repository): { file: string; lines: number }[] {
  return listTree(root, ['.ts', '.tsx', '.mjs', '.cjs', '.js', '.sql'])
    .filter((file) => !/(?:^|\/)test\/|^examples\//.test(file))
    .map((file) => ({ file, lines: readLines(root, file).length - 1 }))
    .sort((a, b) => b.lines - a.lines)
    .slice(0, count);
}
