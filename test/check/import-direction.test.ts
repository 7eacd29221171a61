import { expect, test } from 'vitest';
import { checkImportDirection } from '../../scripts/check/import-direction.ts';
import { givenTree } from './support/tree.ts';

test('imports towards protocol, of types too, are in order, and tests may import anything', () => {
  const root = givenTree({
    'packages/protocol/src/ids.ts': '',
    'packages/server/src/tasks/task.ts': [
      `import { newId } from '@helixcode/protocol/ids';`,
      `import type {`,
      `  Db,`,
      `} from '../db/db.ts';`,
    ],
    'packages/server/src/db/db.ts': `import pg from 'pg';`,
    'packages/server/src/app.ts': `import './tasks/task.ts';`,
    'scripts/demo.ts': `import '../packages/server/src/app.ts';`,
    'packages/client/test/client.test.ts': `import '@helixcode/server/app';`,
  });
  expect(checkImportDirection(root)).toEqual([]);
});

test('nothing imports a program, by its name or by a path', () => {
  const root = givenTree({
    'packages/worker/src/jobs/job.ts': '',
    'packages/server/src/workers/a.ts': ['', `import { job } from '@helixcode/worker/jobs/job';`],
    'packages/cli/src/b.ts': `export type Job = import('../../worker/src/jobs/job.ts').Job;`,
    'packages/protocol/src/c.ts': `export * from '@helixcode/server/workers/a';`,
  });
  expect(checkImportDirection(root)).toEqual([
    `packages/cli/src/b.ts:1: cli may not import worker ('../../worker/src/jobs/job.ts')`,
    `packages/protocol/src/c.ts:1: protocol may not import server ('@helixcode/server/workers/a')`,
    `packages/server/src/workers/a.ts:2: server may not import worker ('@helixcode/worker/jobs/job')`,
  ]);
});

test('a package that may be imported is imported by its name', () => {
  const root = givenTree({ 'packages/worker/src/a.ts': `import '../../protocol/src/ids.ts';` });
  expect(checkImportDirection(root)).toEqual([
    `packages/worker/src/a.ts:1: '../../protocol/src/ids.ts' leaves the package: import it by its name, @helixcode/protocol/…`,
  ]);
});

test('the server may start the program of the worker, the worker not that of the server', () => {
  const root = givenTree({
    'packages/server/src/workers/a.ts': `const entry = new URL('../../../worker/src/main.ts', import.meta.url);`,
    'packages/worker/src/b.ts': `const entry = import.meta.resolve('@helixcode/server/main');`,
  });
  expect(checkImportDirection(root)).toEqual([
    `packages/worker/src/b.ts:1: worker may not start a program of server ('@helixcode/server/main')`,
  ]);
});

test('inside the server a subject imports those below it only', () => {
  const root = givenTree({
    'packages/server/src/db/db.ts': `import '../tasks/task.ts';`,
    'packages/server/src/projects/project.ts': [`import '../workers/worker.ts';`, `import '../tasks/task.ts';`],
    'packages/server/src/workers/worker.ts': '',
    'packages/server/src/tasks/task.ts': [`import '../workers/worker.ts';`, `import '../app.ts';`],
    'packages/server/src/app.ts': `import './db/db.ts';`,
  });
  expect(checkImportDirection(root)).toEqual([
    `packages/server/src/db/db.ts:1: db may not import tasks, which stands above it ('../tasks/task.ts')`,
    `packages/server/src/projects/project.ts:2: projects may not import tasks, which stands above it ('../tasks/task.ts')`,
    `packages/server/src/tasks/task.ts:2: tasks may not import app.ts, which puts the server together`,
  ]);
});

test('a package or a subject that is in no list is asked for', () => {
  const root = givenTree({ 'packages/games/src/chess.ts': '', 'packages/server/src/weather/rain.ts': '' });
  expect(checkImportDirection(root)).toEqual([
    'packages/games:1: say in MAY_IMPORT of scripts/check/import-direction.ts what it may import',
    'packages/server/src/weather:1: give it a place in SERVER_LAYERS of scripts/check/import-direction.ts',
  ]);
});
