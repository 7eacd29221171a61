import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { UnitResult } from '@helixcode/protocol/test/test-result';
import { describe, expect, test } from 'vitest';
import { findRunner } from '../../../src/tasks/testing/find-runner.ts';
import { jest } from '../../../src/tasks/testing/runners/jest.ts';
import { mocha } from '../../../src/tasks/testing/runners/mocha.ts';
import type { RunOutput } from '../../../src/tasks/testing/test-runner.ts';
import {
  filesOf,
  findTool,
  givenProject,
  inShort,
  installTool,
  listUnits,
  outputOf,
  plainOptions,
  projectFiles,
  runUnits,
} from './project-folder.ts';

/*
 * jest and mocha are not dependencies of this repository. What they left when they ran these projects is kept under
 * test/fixtures/test-runners; where they can be resolved (HELIX_TEST_TOOLS names a folder that has them installed),
 * the same projects are run again by the tools themselves.
 */
const jestProject: Record<string, string> = {
  'package.json': JSON.stringify({
    scripts: { test: 'npm run lint && NODE_ENV=test jest --bail --ci test', lint: 'eslint .' },
    jest: { coverageThreshold: { global: { lines: 100 } } },
  }),
  'test/mixed.test.js': [
    "describe('s', () => {",
    "  test('ok', () => {});",
    "  test.skip('left out', () => {});",
    "  test.todo('later');",
    "  test('bad', () => { expect(1).toBe(2); });",
    '});',
  ].join('\n'),
  'test/import.test.js': "require('./nope');",
  'test/hook.test.js': "test('one', () => {});\nafterAll(() => { throw new Error('hook broke'); });",
  'test/empty.test.js': '',
  "test/a b'c$(x)-ü.test.js": "test('odd', () => {});",
};
const jestUnits = Object.keys(jestProject)
  .filter((path) => path.endsWith('.test.js'))
  .sort();

function expectJest(results: readonly UnitResult[]): void {
  expect(inShort(results)).toEqual([
    "test/a b'c$(x)-ü.test.js: passed",
    '  passed odd',
    'test/empty.test.js: error',
    'test/hook.test.js: error',
    '  passed one',
    'test/import.test.js: error',
    'test/mixed.test.js: failed',
    '  passed s > ok',
    '  skipped s > left out',
    '  skipped s > later',
    '  failed s > bad',
  ]);
  expect(results[4]?.cases[3]).toMatchObject({ file: 'test/mixed.test.js', line: 5 });
  expect(results[2]?.message).toContain('hook broke');
  expect(results[3]?.message).toContain("Cannot find module './nope'");
}

const mochaProject: Record<string, string> = {
  'package.json': JSON.stringify({ scripts: { test: "c8 --reporter text mocha --bail --reporter dot 'spec/**/*.spec.*' --timeout 300" } }),
  '.mocharc.json': JSON.stringify({ file: ['spec/setup.js'], parallel: true }),
  'spec/setup.js': 'globalThis.isSetUp = true;',
  'spec/mixed.spec.js': [
    "const assert = require('node:assert');",
    "it('at the root', () => assert(globalThis.isSetUp));",
    "describe('s', () => {",
    "  it('ok', () => {});",
    "  it.skip('left out', () => {});",
    "  it('later');",
    "  it('bad', () => assert.equal(1, 2));",
    "  it('slow', () => new Promise(() => {}));",
    '});',
  ].join('\n'),
  'spec/import.spec.js': "require('./nope');",
  'spec/hook.spec.js': "describe('h', () => { before(() => { throw new Error('hook broke'); }); it('one', () => {}); });",
  'spec/deep/module.spec.mjs': "describe('m', () => { it('esm', () => {}); });\nafter(() => { throw new Error('root hook broke'); });",
  "spec/a b'c$(x)-ü.spec.js": "it('odd', () => {});",
};
const mochaUnits = Object.keys(mochaProject)
  .filter((path) => path.includes('.spec.'))
  .sort();

function expectMocha(results: readonly UnitResult[]): void {
  expect(inShort(results)).toEqual([
    "spec/a b'c$(x)-ü.spec.js: passed",
    '  passed odd',
    'spec/deep/module.spec.mjs: failed',
    '  passed m > esm',
    expect.stringMatching(/^ {2}failed "after all" hook/),
    'spec/hook.spec.js: failed',
    '  failed h > "before all" hook for "one"',
    'spec/import.spec.js: error',
    'spec/mixed.spec.js: failed',
    '  passed at the root',
    '  passed s > ok',
    '  skipped s > left out',
    '  skipped s > later',
    '  failed s > bad',
    '  failed s > slow',
  ]);
  expect(results[4]?.cases[4]).toMatchObject({ file: 'spec/mixed.spec.js', line: 7 });
  expect(results[3]?.message).toContain("Cannot find module './nope'");
}

function recorded(name: string): RunOutput {
  const folder = join(import.meta.dirname, '../../fixtures/test-runners', name);
  const streams = Object.fromEntries(
    readdirSync(folder).map((file) => [file === 'err' || file === 'out' ? file : `file:${file}`, readFileSync(join(folder, file), 'utf8')]),
  );
  return outputOf(Number(streams['file:exit']), streams);
}

describe.each(['jest-30.5.2', 'jest-29.7.0'])('what %s left', (name) => {
  test('is read with every kind of outcome', async () => {
    expectJest((await jest.parseResults(recorded(name), jestUnits)).results);
  });
});

describe.each(['mocha-12.0.3', 'mocha-10.8.2'])('what %s left', (name) => {
  test('is read with every kind of outcome', async () => {
    expectMocha((await mocha.parseResults(recorded(name), mochaUnits)).results);
  });
});

test('a list is found among what configuration files print', async () => {
  const output = outputOf(0, { 'file:root': '/w/1\n', out: '[setup] hello\n["/w/1/b.test.js","/w/1/a b.test.js"]\n' });
  expect(await jest.parseListing(output, filesOf({}))).toEqual(['a b.test.js', 'b.test.js']);
  await expect(jest.parseListing(outputOf(1, { err: 'jest: not found' }), filesOf({}))).rejects.toMatchObject({
    code: 'test.runner_failed',
    message: expect.stringContaining('jest: not found'),
  });
});

test('jest keeps the options of its script but for those that reach over the whole suite', async () => {
  const command = (await jest.runCommand(filesOf(jestProject), ['a b.test.js'], { ...plainOptions, args: ['-t', 'only this'] }))
    .split('HELIX_END_OF_FILE')
    .at(-1);
  expect(command).toContain('export NODE_ENV=test\n');
  expect(command).not.toContain('npm run');
  expect(command).toMatch(
    /exec jest --ci -t 'only this' --watchAll=false --bail=0 --maxWorkers=1 --coverage=false .* --runTestsByPath -- 'a b\.test\.js'$/,
  );
});

describe.skipIf(!findTool('jest'))('jest itself', () => {
  test('lists and runs the same', async () => {
    const folder = givenProject(jestProject);
    installTool(folder, 'jest');
    expect((await findRunner(projectFiles(folder))).name).toBe('jest');
    expect(await listUnits(jest, folder)).toEqual(jestUnits);
    expectJest((await runUnits(jest, folder, jestUnits)).results);
  }, 60_000);
});

describe.skipIf(!findTool('mocha'))('mocha itself', () => {
  test('lists and runs the same', async () => {
    const folder = givenProject(mochaProject);
    installTool(folder, 'mocha');
    expect((await findRunner(projectFiles(folder))).name).toBe('mocha');
    expect((await listUnits(mocha, folder)).sort()).toEqual(mochaUnits);
    expectMocha((await runUnits(mocha, folder, mochaUnits)).results);
  }, 60_000);
});
