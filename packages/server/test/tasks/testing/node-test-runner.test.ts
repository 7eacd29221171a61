import { expect, test } from 'vitest';
import { findRunner } from '../../../src/tasks/testing/find-runner.ts';
import { nodeTest } from '../../../src/tasks/testing/runners/node-test.ts';
import { givenProject, inShort, listUnits, plainOptions, projectFiles, runUnits } from './project-folder.ts';

const oddName = 'a b\'c"$(x)\n-ü.test.js';
const oneTest = (name: string) => `import { test } from 'node:test';\ntest(${JSON.stringify(name)}, () => {});\n`;

function givenModule(test: string | undefined, files: Record<string, string>): string {
  return givenProject({ 'package.json': JSON.stringify({ type: 'module', ...(test !== undefined && { scripts: { test } }) }), ...files });
}

test('a node:test suite is run file by file, with every kind of outcome', async () => {
  const folder = givenModule('node --test', {
    'test/mixed.js': [
      "import { describe, it, test } from 'node:test';",
      "import assert from 'node:assert';",
      "import { shared } from '../lib/shared.js';",
      "describe('s', () => { it('ok', () => {}); it.skip('left out', () => {}); it.todo('later'); it('unready', { todo: true }, () => assert.equal(1, 2));",
      "  it('bad', () => assert.equal(1, 2)); });",
      "test('parent', async (t) => { await t.test('child', () => {}); });",
      'shared();',
    ].join('\n'),
    'lib/shared.js': "import { test } from 'node:test';\nexport const shared = () => test('from a helper', () => {});",
    'import.test.js': "import './nope.js';",
    'hook.test.js':
      "import { before, describe, it } from 'node:test';\ndescribe('h', () => { before(() => { throw new Error('hook broke'); }); it('one', () => {}); });",
    'late.test.js': "import { it } from 'node:test';\nit('late', () => { setTimeout(() => { throw new Error('too late'); }, 20); });",
    'plain.test.js': "console.log('no test at all');",
    [oddName]: oneTest('odd'),
    '[id].test.js': oneTest('in brackets'),
  });
  expect((await findRunner(projectFiles(folder))).name).toBe('node-test');
  const units = (await listUnits(nodeTest, folder)).sort();
  expect(units).toEqual(
    ['[id].test.js', oddName, 'hook.test.js', 'import.test.js', 'late.test.js', 'plain.test.js', 'test/mixed.js'].sort(),
  );

  const { results } = await runUnits(nodeTest, folder, units);
  const of = (unit: string) => results.find((result) => result.unit === unit);
  expect(inShort(results.filter(({ outcome }) => outcome === 'passed'))).toEqual([
    '[id].test.js: passed',
    '  passed in brackets',
    `${oddName}: passed`,
    '  passed odd',
    'plain.test.js: passed',
    '  passed plain.test.js',
  ]);
  expect(inShort(results.filter(({ unit }) => unit === 'test/mixed.js'))).toEqual([
    'test/mixed.js: failed',
    '  passed s > ok',
    '  skipped s > left out',
    '  skipped s > later',
    '  skipped s > unready',
    '  failed s > bad',
    '  passed parent > child',
    '  passed parent',
    '  passed from a helper',
  ]);
  expect(of('test/mixed.js')?.cases[4]).toMatchObject({ file: 'test/mixed.js', line: 5 });
  expect(of('import.test.js')).toMatchObject({ outcome: 'error', message: expect.stringContaining('nope.js') });
  expect(of('hook.test.js')).toMatchObject({ outcome: 'error', message: expect.stringContaining('hook broke') });
  expect(of('late.test.js')).toMatchObject({ outcome: 'error', message: expect.stringContaining('too late') });
}, 60_000);

test('a file that ends its process too early does not pass for the tests it never ran', async () => {
  const folder = givenModule('node --test', {
    'exit.test.js': "import { it } from 'node:test';\nit('exits', () => { process.exit(7); });\nit('never', () => {});",
  });
  const { results } = await runUnits(nodeTest, folder, ['exit.test.js']);
  expect(results).toMatchObject([{ outcome: 'error' }]);
  expect(results[0]?.cases.filter((one) => one.outcome === 'passed')).toEqual([]);
}, 60_000);

test('patterns of the script are expanded as the shell and node would', async () => {
  const files = { 'test/a.test.js': '', 'test/deep/b.test.js': '', 'test/deep/er/c.test.js': '', 'lib/d.js': '' };
  const listed = async (script: string) => (await listUnits(nodeTest, givenModule(script, files))).sort();
  expect(await listed('node --test test/**/*.test.js')).toEqual(['test/deep/b.test.js']);
  expect(await listed("node --test 'test/**/*.test.js'")).toEqual(['test/a.test.js', 'test/deep/b.test.js', 'test/deep/er/c.test.js']);
  expect(await listed('node --test --test-reporter spec lib/d.js test/a.test.js')).toEqual(['lib/d.js', 'test/a.test.js']);
  expect(await listed('node --test test/')).toEqual(['test/a.test.js', 'test/deep/b.test.js', 'test/deep/er/c.test.js']);
}, 60_000);

test('a build of the script runs before the files are looked for and run, and its failure is told', async () => {
  const build = "node -e \"fs.mkdirSync('dist'),fs.writeFileSync('dist/a.test.js',fs.readFileSync('src.js'))\"";
  const folder = givenModule(`${build} && node --test dist/*.test.js`, { 'src.js': oneTest('built') });
  expect(await listUnits(nodeTest, folder)).toEqual(['dist/a.test.js']);
  const { results } = await runUnits(nodeTest, folder, ['dist/a.test.js']);
  expect(results).toMatchObject([{ outcome: 'missing', message: expect.stringContaining('EEXIST') }]);
}, 60_000);

test('coverage comes as lcov of the project’s own files', async () => {
  const folder = givenModule('node --test', {
    'src/f.js': 'export const f = (x) => {\n  if (x) return 1;\n  return 2;\n};\n',
    'f.test.js': "import { test } from 'node:test';\nimport { f } from './src/f.js';\ntest('f', () => { f(1); });",
  });
  const { results, lcov } = await runUnits(nodeTest, folder, ['f.test.js'], { ...plainOptions, coverage: true });
  expect(inShort(results)).toEqual(['f.test.js: passed', '  passed f']);
  expect(lcov).toMatch(/SF:src\/f\.js\n[\s\S]*DA:3,0\n/);
}, 60_000);

test('without a test script, files that import node:test are the sign', async () => {
  expect((await findRunner(projectFiles(givenModule(undefined, { 'a.test.js': oneTest('a') })))).name).toBe('node-test');
  await expect(findRunner(projectFiles(givenModule(undefined, { 'a.test.js': '' })))).rejects.toMatchObject({
    code: 'test.runner_unknown',
  });
});
