import { expect, test } from 'vitest';
import { checkImportCycles } from '../../scripts/check/import-cycles.ts';
import { givenTree } from './support/tree.ts';

test('a cycle is told once, with the files it goes through', () => {
  const root = givenTree({
    'packages/server/src/tasks/a.ts': `import './b.ts';`,
    'packages/server/src/tasks/b.ts': ['', `import type { C } from '@helixcode/server/tasks/c';`],
    'packages/server/src/tasks/c.ts': `export { a } from './a.ts';`,
    'scripts/d.ts': `import '../packages/server/src/tasks/b.ts';`,
  });
  expect(checkImportCycles(root)).toEqual([
    'packages/server/src/tasks/c.ts:1: an import cycle: ' +
      'packages/server/src/tasks/a.ts → packages/server/src/tasks/b.ts → packages/server/src/tasks/c.ts → packages/server/src/tasks/a.ts',
  ]);
});

test('two ways to the same file are no cycle', () => {
  const root = givenTree({
    'scripts/a.ts': [`import './b.ts';`, `import './c.ts';`],
    'scripts/b.ts': `import './d.ts';`,
    'scripts/c.ts': `import './d.ts';`,
    'scripts/d.ts': `export const word = 'from';`,
  });
  expect(checkImportCycles(root)).toEqual([]);
});
