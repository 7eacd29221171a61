import { expect, test } from 'vitest';
import { findRunner } from '../../../src/tasks/testing/find-runner.ts';
import { vitest } from '../../../src/tasks/testing/runners/vitest.ts';
import { filesOf, givenProject, inShort, installTool, listUnits, plainOptions, projectFiles, runUnits } from './project-folder.ts';

const oddName = 'test/a b\'c"$(x)\n-ü.test.ts';
const manifest = JSON.stringify({
  type: 'module',
  scripts: { test: 'vitest run --testTimeout 4000' },
  devDependencies: { vitest: '5', mocha: '11' },
});

function givenVitest(files: Record<string, string>): string {
  const folder = givenProject({ 'package.json': manifest, ...files });
  installTool(folder, 'vitest');
  return folder;
}

test('a vitest suite is listed and run file by file, with every kind of outcome', async () => {
  const folder = givenVitest({
    'test/mixed.test.ts': [
      "import { describe, expect, test } from 'vitest';",
      "describe('s', () => {",
      "  test('ok', () => {});",
      "  test.skip('left out', () => {});",
      "  test.todo('later');",
      "  test('bad', () => { expect(1).toBe(2); });",
      '});',
    ].join('\n'),
    'test/import.test.ts': "import './nope.ts';",
    'test/late.test.ts':
      "import { test } from 'vitest';\ntest('fine', () => { setTimeout(() => { throw new Error('too late'); }, 1); return new Promise((done) => setTimeout(done, 40)); });",
    'test/hook.test.ts':
      "import { beforeAll, describe, test } from 'vitest';\ndescribe('h', () => { beforeAll(() => { throw new Error('hook broke'); }); test('one', () => {}); });",
    [oddName]: "import { test } from 'vitest';\ntest('odd', () => {});",
  });
  expect((await findRunner(projectFiles(folder))).name).toBe('vitest');
  const units = (await listUnits(vitest, folder)).sort();
  expect(units).toEqual([oddName, 'test/hook.test.ts', 'test/import.test.ts', 'test/late.test.ts', 'test/mixed.test.ts'].sort());

  const { results } = await runUnits(vitest, folder, units);
  const of = (unit: string) => results.find((result) => result.unit === unit);
  expect(inShort(results.filter(({ unit }) => unit === oddName || unit === 'test/mixed.test.ts'))).toEqual([
    `${oddName}: passed`,
    '  passed odd',
    'test/mixed.test.ts: failed',
    '  passed s > ok',
    '  skipped s > left out',
    '  skipped s > later',
    '  failed s > bad',
  ]);
  expect(of('test/mixed.test.ts')?.cases.at(-1)).toMatchObject({
    file: 'test/mixed.test.ts',
    line: 6,
    message: expect.stringContaining('expected 1 to be 2'),
  });
  expect(of('test/import.test.ts')).toMatchObject({ outcome: 'error', message: expect.stringContaining('nope.ts') });
  expect(of('test/late.test.ts')).toMatchObject({
    outcome: 'error',
    message: expect.stringContaining('too late'),
    cases: [{ outcome: 'passed' }],
  });
  expect(of('test/hook.test.ts')).toMatchObject({
    outcome: 'error',
    message: expect.stringContaining('hook broke'),
    cases: [{ outcome: 'skipped' }],
  });
  expect(of('test/mixed.test.ts')?.durationMs).toBeGreaterThan(0);
}, 60_000);

test('projects of a workspace are run from the root, a file of two projects in both', async () => {
  const folder = givenVitest({
    'vitest.config.ts':
      "export default { test: { bail: 1, reporters: ['dot'], projects: ['packages/*', { test: { name: 'again', include: ['packages/a/test/*.test.ts'] } }] } };",
    'packages/a/vitest.config.ts': "export default { test: { name: 'a' } };",
    'packages/a/test/x.test.ts': "import { expect, test } from 'vitest';\ntest('in a', () => { expect(1).toBe(2); });",
    'packages/b/vitest.config.ts': "export default { test: { name: 'b' } };",
    'packages/b/test/x.test.ts': "import { test } from 'vitest';\ntest('in b', () => {});",
  });
  expect((await listUnits(vitest, folder)).sort()).toEqual(['packages/a/test/x.test.ts', 'packages/b/test/x.test.ts']);
  const { results } = await runUnits(vitest, folder, ['packages/b/test/x.test.ts', 'packages/a/test/x.test.ts']);
  expect(inShort(results.slice(0, 1))).toEqual(['packages/b/test/x.test.ts: passed', '  passed [b] > in b']);
  expect(results[1]?.cases.map((one) => `${one.outcome} ${one.name}`).sort()).toEqual(['failed [a] > in a', 'failed [again] > in a']);
}, 60_000);

test('a run that is killed keeps what was over, and the rest is missing', async () => {
  const folder = givenVitest({
    'vitest.config.ts':
      'export default { test: { sequence: { sequencer: class { sort(files) { return files.sort((a, b) => (a.moduleId < b.moduleId ? -1 : 1)); } shard(files) { return files; } } } } };',
    'a.test.ts': "import { test } from 'vitest';\ntest('one', () => {});",
    'b.test.ts':
      "import { test } from 'vitest';\ntest('kills', async () => { process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {}); });",
  });
  const { results } = await runUnits(vitest, folder, ['a.test.ts', 'b.test.ts']);
  expect(inShort(results)).toEqual(['a.test.ts: passed', '  passed one', 'b.test.ts: missing']);
}, 60_000);

test('a file of two projects is not over when the run is killed after the first', async () => {
  const project = (name: string) => `{ test: { name: '${name}', include: ['a.test.ts'] } }`;
  const folder = givenVitest({
    'vitest.config.ts': `export default { test: { projects: [${project('one')}, ${project('two')}] } };`,
    'a.test.ts': [
      "import { existsSync, writeFileSync } from 'node:fs';",
      "import { test } from 'vitest';",
      "test('once', async () => {",
      "  if (!existsSync('ran')) return writeFileSync('ran', '');",
      "  process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {});",
      '});',
    ].join('\n'),
  });
  const { results } = await runUnits(vitest, folder, ['a.test.ts']);
  expect(results).toMatchObject([{ outcome: 'missing', cases: [{ outcome: 'passed' }] }]);
}, 60_000);

test('a vitest that cannot start gives missing units that say why, and no list', async () => {
  const folder = givenVitest({ 'vitest.config.ts': "throw new Error('broken configuration');", 'a.test.ts': '' });
  const { results } = await runUnits(vitest, folder, ['a.test.ts']);
  expect(results).toMatchObject([{ outcome: 'missing', message: expect.stringContaining('broken configuration') }]);
  await expect(listUnits(vitest, folder)).rejects.toMatchObject({
    code: 'test.runner_failed',
    message: expect.stringContaining('broken configuration'),
  });
}, 60_000);

test('an empty suite is an empty list', async () => {
  expect(await listUnits(vitest, givenVitest({}))).toEqual([]);
}, 60_000);

test('options of the test script stay, its filters and reporters do not', async () => {
  const files = {
    'package.json': JSON.stringify({
      scripts: { test: 'TZ=UTC vitest run packages/core --config=my.ts --reporter dot --coverage --bail 1 --retry 2' },
    }),
  };
  const project = filesOf(files);
  const run = (await vitest.runCommand(project, ['-x.test.ts'], { ...plainOptions, args: ['--mode', 'it is'] }))
    .split('HELIX_END_OF_FILE')
    .at(-1);
  expect(run).toContain('export TZ=UTC\n');
  expect(run).toMatch(/exec vitest run --config=my\.ts --retry 2 --mode 'it is' --bail=0 .* \.\/-x\.test\.ts$/);
  const listing = await vitest.list(project, plainOptions);
  expect('command' in listing && listing.command).toContain('vitest list --config=my.ts --retry 2 packages/core --filesOnly');
});
