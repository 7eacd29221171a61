import { expect, test } from 'vitest';
import { junitCommand } from '../../../src/tasks/testing/runners/junit-command.ts';
import { givenProject, inShort, listUnits, plainOptions, runUnits } from './project-folder.ts';

/** A test tool of our own: each line of a file is `outcome name`. */
const tool = [
  'mkdir -p out/deep; n=0',
  'for f in "$@"; do',
  '  n=$((n + 1)); report="out/deep/r$n.xml"',
  '  echo "<testsuite name=\'all\'>" >"$report"',
  '  while read -r outcome name; do',
  '    echo "<testcase $ATTRIBUTE=\'$f\' name=\'$name\' time=\'0.5\'>$([ "$outcome" = failed ] && echo "<failure message=\'broke\'/>")</testcase>" >>"$report"',
  '    [ "$outcome" = exits ] && exit 9',
  '  done <"$f"',
  '  echo "</testsuite>" >>"$report"',
  'done',
].join('\n');

const options = (attribute: string, globs = ['spec/**/*.x']) => ({
  ...plainOptions,
  junit: { command: `ATTRIBUTE=${attribute} sh tool.sh {files}`, files: globs, junit: 'out/**/*.xml' },
});

test('any command that writes JUnit XML runs, and reports of an earlier run do not count', async () => {
  const odd = 'spec/deep/a b$(x)\n-ü.x';
  const folder = givenProject({
    'tool.sh': tool,
    'spec/a.x': 'passed one\nfailed two\n',
    'spec/b.x': 'passed one\n',
    'out/old.xml': '<testsuite><testcase file="spec/c.x" name="old"/></testsuite>',
    'spec/c.x': '',
    [odd]: 'passed odd\n',
  });
  const units = await listUnits(junitCommand, folder, options('file'));
  expect(units.toSorted()).toEqual(['spec/a.x', 'spec/b.x', 'spec/c.x', odd].toSorted());
  const { results } = await runUnits(junitCommand, folder, ['spec/a.x', 'spec/b.x', 'spec/c.x'], options('file'));
  expect(inShort(results)).toEqual([
    'spec/a.x: failed',
    '  passed one',
    '  failed two',
    'spec/b.x: passed',
    '  passed one',
    'spec/c.x: missing',
  ]);
  const { results: alone } = await runUnits(junitCommand, folder, [odd], options('file'));
  expect(inShort(alone).at(-1)).toBe('  passed odd');
});

test('where the XML names no file, tests of several units are lost but not their failures, and a unit alone has its own', async () => {
  const folder = givenProject({ 'tool.sh': tool, 'spec/a.x': 'passed one\n', 'spec/b.x': 'failed two\n' });
  const { results } = await runUnits(junitCommand, folder, ['spec/a.x', 'spec/b.x'], options('id'));
  expect(results.map((result) => result.outcome)).toEqual(['missing', 'missing']);
  expect(results[0]?.message).toContain('names no file for 2 tests');
  expect(inShort((await runUnits(junitCommand, folder, ['spec/b.x'], options('id'))).results)).toEqual([
    'spec/b.x: failed',
    '  failed two',
  ]);
});

test('a report that is cut, or an exit status nothing explains, is an error', async () => {
  const folder = givenProject({ 'tool.sh': tool, 'spec/a.x': 'passed one\n', 'spec/b.x': 'exits two\n' });
  const { results } = await runUnits(junitCommand, folder, ['spec/a.x', 'spec/b.x'], options('file'));
  expect(results.map((result) => result.outcome)).toEqual(['error', 'missing']);
  expect(results[0]?.message).toContain('report 2 of the run is not JUnit XML');
  const failing = { ...plainOptions, junit: { ...options('file').junit, command: 'ATTRIBUTE=file sh tool.sh {files}; exit 4' } };
  expect((await runUnits(junitCommand, folder, ['spec/a.x'], failing)).results).toMatchObject([
    { outcome: 'error', message: expect.stringContaining('exit status 4') },
  ]);
});

test('without its configuration the runner says what is missing', async () => {
  await expect(listUnits(junitCommand, givenProject({}))).rejects.toMatchObject({ code: 'config.invalid' });
});

test('reports are found by a plain name, by braces, and at any depth', async () => {
  const folder = givenProject({ 'spec/a.x': '' });
  const report = '<testsuite><testcase file="spec/a.x" name="one"/></testsuite>';
  const write = (path: string) => `mkdir -p "$(dirname ${path})"; echo '${report}' >${path}; : {files}`;
  for (const [junit, path] of [
    ['report.xml', 'report.xml'],
    ['./out/{unit,other}/*.xml', 'out/unit/r.xml'],
    ['**/TEST-*.xml', 'a/b/TEST-1.xml'],
    ['build/**/r.xml', 'build/r.xml'],
  ] as const) {
    const told = await runUnits(junitCommand, folder, ['spec/a.x'], {
      ...plainOptions,
      junit: { command: write(path), files: ['spec/*'], junit },
    });
    expect([junit, ...inShort(told.results)]).toEqual([junit, 'spec/a.x: passed', '  passed one']);
  }
});
