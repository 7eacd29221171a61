import { type Import, listImports } from './imports.ts';
import { repository } from './tree.ts';

/**
 * No file imports itself by way of others. Imports of types count: two files that need each other's words are one idea, or three.
 *
 * @returns one `file:line: problem` per cycle; of cycles that share an import, perhaps only one
 */
export function checkImportCycles(root = repository): string[] {
  const imports = new Map<string, Import[]>();
  for (const one of listImports(root)) {
    if (one.how === 'import') imports.set(one.from, [...(imports.get(one.from) ?? []), one]);
  }

  const problems: string[] = [];
  const finished = new Set<string>();
  const trail: string[] = [];
  const visit = (file: string): void => {
    trail.push(file);
    for (const { line, to } of imports.get(file) ?? []) {
      const start = trail.indexOf(to);
      if (start !== -1) problems.push(`${file}:${line}: an import cycle: ${[...trail.slice(start), to].join(' → ')}`);
      else if (!finished.has(to)) visit(to);
    }
    trail.pop();
    finished.add(file);
  };
  for (const file of imports.keys()) if (!finished.has(file)) visit(file);
  return problems;
}
