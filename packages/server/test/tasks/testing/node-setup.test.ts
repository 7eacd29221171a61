import { describe, expect, test } from 'vitest';
import { findNodeSetup } from '../../../src/tasks/testing/node-setup.ts';
import { filesOf, givenProject, runInFolder } from './project-folder.ts';

const manifest = JSON.stringify({ devDependencies: { jest: '30' } });

describe('the lock file decides the package manager', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['npm', { 'package-lock.json': '{}' }, /^npm ci /],
    ['npm, older name', { 'npm-shrinkwrap.json': '{}' }, /^npm ci /],
    ['pnpm 9', { 'pnpm-lock.yaml': "lockfileVersion: '9.0'\n" }, /pnpm install --frozen-lockfile[\s\S]*--package=pnpm@9 /],
    ['pnpm 8', { 'pnpm-lock.yaml': "lockfileVersion: '6.0'\n" }, /--package=pnpm@8 /],
    ['yarn 1', { 'yarn.lock': '# yarn lockfile v1\n' }, /yarn install --frozen-lockfile/],
    ['yarn 4', { 'yarn.lock': '__metadata:\n  version: 8\n' }, /yarn install --immutable/],
    [
      'yarn kept in the repository',
      { 'yarn.lock': '__metadata:\n', '.yarnrc.yml': 'yarnPath: .yarn/releases/yarn-4.1.0.cjs\n' },
      /^node \.yarn\/releases\/yarn-4\.1\.0\.cjs install --immutable$/,
    ],
    ['bun', { 'bun.lock': '{}' }, /bun install --frozen-lockfile/],
    ['none', {}, /^npm install /],
  ])('%s', async (_name, files, command) => {
    const setup = await findNodeSetup(filesOf({ 'package.json': manifest, ...files }));
    expect(setup?.command).toMatch(command);
    expect(setup?.inputs).toContain('package.json');
    for (const lock of Object.keys(files)) expect(setup?.inputs).toContain(lock);
  });
});

test('manifests of workspaces, registry settings and patches are inputs, sources are not', async () => {
  const paths = ['package.json', 'package-lock.json', '.npmrc', 'packages/a/package.json', 'patches/x.patch', 'src/index.ts'];
  const setup = await findNodeSetup(filesOf(Object.fromEntries(paths.map((path) => [path, manifest]))));
  expect(setup?.inputs.toSorted()).toEqual(paths.slice(0, 5).toSorted());
});

test('a project without dependencies needs no setup', async () => {
  expect(await findNodeSetup(filesOf({ 'package.json': '{"scripts": {"test": "node --test"}}' }))).toBeUndefined();
  expect(await findNodeSetup(filesOf({ 'go.mod': 'module x' }))).toBeUndefined();
});

test('a version that the manifest pins is the one that is fetched', async () => {
  const pinned = JSON.stringify({ packageManager: 'pnpm@8.15.4+sha512.abc', dependencies: { a: '1' } });
  const setup = await findNodeSetup(filesOf({ 'package.json': pinned, 'pnpm-lock.yaml': "lockfileVersion: '9.0'\n" }));
  expect(setup?.command).toContain('pnpm@8.15.4');
});

test('the command takes the package manager that answers, then corepack, then npx', async () => {
  const answers = '#!/bin/sh\necho "${0##*/} $*"\n';
  const setup = await findNodeSetup(filesOf({ 'package.json': manifest, 'pnpm-lock.yaml': '' }));
  const run = async (programs: Record<string, string>) => {
    const folder = givenProject(Object.fromEntries(Object.entries(programs).map(([name, text]) => [`bin/${name}`, text])));
    const output = runInFolder(`chmod +x bin/*; PATH="$PWD/bin"\n${setup?.command}`, folder);
    return new TextDecoder().decode(await output.read('out'));
  };
  expect(await run({ pnpm: answers, npx: answers })).toBe('pnpm install --frozen-lockfile\n');
  expect(await run({ pnpm: '#!/bin/sh\nexit 1\n', corepack: answers, npx: answers })).toBe('corepack pnpm install --frozen-lockfile\n');
  expect(await run({ npx: answers })).toBe('npx --yes --package=pnpm@9 -- pnpm install --frozen-lockfile\n');
});
