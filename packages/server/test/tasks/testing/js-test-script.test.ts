import { describe, expect, test } from 'vitest';
import { divideArgs, findJsTestScript } from '../../../src/tasks/testing/js-test-script.ts';
import { splitShell } from '../../../src/tasks/testing/shell-words.ts';
import { filesOf } from './project-folder.ts';

const scriptOf = (scripts: Record<string, string>) => findJsTestScript(filesOf({ 'package.json': JSON.stringify({ scripts }) }));

describe('the test script tells which runner is really used', () => {
  test.each<[string, string, string]>([
    ['vitest run', 'vitest', 'vitest'],
    ['npx vitest', 'vitest', 'vitest'],
    ['pnpm exec vitest run', 'vitest', 'vitest'],
    ['yarn jest --ci', 'jest', 'jest'],
    ['cross-env NODE_ENV=test TZ=UTC jest', 'jest', 'jest'],
    ['NODE_OPTIONS="--max-old-space-size=4096" npx jest', 'jest', 'jest'],
    [
      'node --experimental-vm-modules node_modules/jest/bin/jest.js',
      'jest',
      'node --experimental-vm-modules node_modules/jest/bin/jest.js',
    ],
    ['node --experimental-vm-modules ./node_modules/.bin/jest', 'jest', 'node --experimental-vm-modules ./node_modules/.bin/jest'],
    ['c8 --reporter=lcov --reporter text mocha test', 'mocha', 'mocha'],
    ['nyc --reporter text _mocha', 'mocha', '_mocha'],
    ['c8 -r lcov node --test', 'node-test', 'node'],
    ['node --import tsx --test test/*.ts', 'node-test', 'node'],
    ['tsx --test', 'node-test', 'tsx'],
    ['dotenv -e .env.test -- vitest run', 'vitest', 'dotenv -e .env.test -- vitest'],
    ['eslint . && tsc --noEmit && mocha', 'mocha', 'mocha'],
  ])('%s', async (line, runner, program) => {
    const script = await scriptOf({ test: line });
    expect(script?.runner).toBe(runner);
    expect(script?.program.join(' ')).toBe(program);
    expect(script?.before).toEqual([]);
  });
});

test('a script that calls another is followed, with the arguments it passes on', async () => {
  const script = await scriptOf({
    test: 'npm run lint && npm run test:unit -- --retries 2',
    lint: 'eslint .',
    'test:unit': 'TZ=UTC mocha --exit',
  });
  expect(script).toMatchObject({ runner: 'mocha', env: ['TZ=UTC'], before: [] });
  expect(script?.args.map((word) => word.text)).toEqual(['--exit', '--retries', '2']);
});

test('a build that the script starts with runs first', async () => {
  const script = await scriptOf({
    pretest: 'node prepare.js',
    test: 'npm run build && tsc -p test && run-s test:node',
    build: 'tsc',
    'test:node': 'node --test dist',
  });
  expect(script?.before).toEqual(['npm run --silent pretest', 'npm run --silent build', 'tsc -p test']);
});

test('a script that only lints is left out, whatever its name', async () => {
  const script = await scriptOf({
    pretest: 'npm run lint',
    test: 'npm run verify && jest',
    verify: 'run-p check:style check:types && prettier --check .',
    'check:style': 'eslint . && stylelint "**/*.css"',
    'check:types': 'tsc --noEmit',
    lint: 'patch-package && eslint .',
  });
  expect(script).toMatchObject({ runner: 'jest', before: [] });
});

test('scripts that call each other in a circle, or no runner, give none', async () => {
  expect(await scriptOf({ test: 'npm run a', a: 'npm run b', b: 'npm run a' })).toBeUndefined();
  expect(await scriptOf({ test: 'echo "Error: no test specified" && exit 1' })).toBeUndefined();
  expect(await findJsTestScript(filesOf({ 'package.json': '{"scripts": [1' }))).toBeUndefined();
});

test('without a test script of that name, one named for a kind of tests counts', async () => {
  expect(await scriptOf({ 'test:watch': 'jest --watch', 'test:unit': 'vitest run' })).toMatchObject({ runner: 'vitest' });
});

test('options keep their values, and what is dropped takes its value along', () => {
  const args = splitShell(`x --config a.ts --globals src --reporter dot --no-color -u 'lib/*'`)[0]?.words.slice(1) ?? [];
  const divided = divideArgs(args, /^--globals$/, /^(?:--reporter|-u)$/);
  expect(divided.options).toEqual(['--config', 'a.ts', '--globals', '--no-color']);
  expect(divided.positionals.map((word) => word.text)).toEqual(['src']);
});
