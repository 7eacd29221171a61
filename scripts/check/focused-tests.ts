import { listTree, readLines, repository } from './tree.ts';

const FOCUS = /^\s*(?:await\s+)?((?:test|it|describe|suite)(?:\.\w+)*\.only)\b/;

/**
 * No test is singled out: the others would silently not run.
 *
 * @returns one `file:line: problem` per `.only`
 */
export function checkFocusedTests(root = repository): string[] {
  return listTree(root, ['.ts', '.tsx', '.js', '.mjs']).flatMap((file) =>
    readLines(root, file).flatMap((line, index) => {
      const focus = FOCUS.exec(line)?.[1];
      return focus === undefined ? [] : [`${file}:${index + 1}: ${focus} keeps the other tests from running`];
    }),
  );
}
