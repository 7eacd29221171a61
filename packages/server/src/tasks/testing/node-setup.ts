import type { SetupCommand } from '@helixcode/protocol/task/task-spec';
import { readPackageJson } from './package-json.ts';
import { quoteWord } from './shell-words.ts';
import type { ProjectFiles } from './test-runner.ts';

const timeoutMs = 900_000;

/** Files beside the lock file that change what an installation gives. */
const ALSO_DECIDES =
  /(?:^|\/)(?:package\.json|\.npmrc|\.yarnrc(?:\.yml)?|\.pnpmfile\.cjs|pnpm-workspace\.yaml|bunfig\.toml)$|^(?:patches|\.yarn\/patches)\//;

/**
 * How the dependencies of a JavaScript project are installed: by the package manager whose lock file is at the root,
 * exactly as locked. A package manager that the worker does not have, or that does not answer there, is run through
 * corepack (which fails where its keys are older than the registry's) or else npx.
 *
 * @returns `undefined` for a project that has no dependencies
 */
export async function findNodeSetup(files: ProjectFiles): Promise<SetupCommand | undefined> {
  const manifest = await readPackageJson(files);
  if (!manifest) return undefined;
  const has = new Set(files.paths);
  const [, pinned, pinnedVersion] = /^(npm|pnpm|yarn|bun)@(\d[\w.-]*)/.exec(manifest.packageManager ?? '') ?? [];
  const versionOf = (manager: string, otherwise: string) => (pinned === manager && pinnedVersion !== undefined ? pinnedVersion : otherwise);
  const step = (lock: string | undefined, command: string): SetupCommand => ({
    command,
    inputs: [
      ...(lock === undefined ? [] : [lock]),
      ...files.paths.filter((path) => ALSO_DECIDES.test(path) && !path.includes('node_modules/')),
    ],
    timeoutMs,
  });

  if (has.has('pnpm-lock.yaml')) {
    const version = versionOf('pnpm', pnpmFor(await files.read('pnpm-lock.yaml')));
    return step('pnpm-lock.yaml', throughManager('pnpm', `pnpm@${version}`, 'install --frozen-lockfile'));
  }
  if (has.has('yarn.lock')) {
    const lock = (await files.read('yarn.lock')) ?? '';
    const berry = /^__metadata:/m.test(lock);
    const args = berry ? 'install --immutable' : 'install --frozen-lockfile --non-interactive';
    const yarnPath = berry ? /^yarnPath:\s*["']?([^"'\s]+)/m.exec((await files.read('.yarnrc.yml')) ?? '')?.[1] : undefined;
    if (yarnPath !== undefined) return step('yarn.lock', `node ${quoteWord(yarnPath)} ${args}`);
    return step(
      'yarn.lock',
      throughManager('yarn', berry ? `@yarnpkg/cli-dist@${versionOf('yarn', '4')}` : `yarn@${versionOf('yarn', '1')}`, args),
    );
  }
  const bunLock = ['bun.lock', 'bun.lockb'].find((path) => has.has(path));
  if (bunLock !== undefined) return step(bunLock, throughManager('bun', `bun@${versionOf('bun', '1')}`, 'install --frozen-lockfile'));
  const npmLock = ['package-lock.json', 'npm-shrinkwrap.json'].find((path) => has.has(path));
  if (npmLock !== undefined) return step(npmLock, 'npm ci --no-audit --no-fund');
  const needs = [manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies].some(
    (list) => Object.keys(list).length > 0,
  );
  return needs || manifest.workspaces !== undefined ? step(undefined, 'npm install --no-audit --no-fund') : undefined;
}

/** The newest pnpm that keeps a lock file of this format as it is. */
function pnpmFor(lock: string | undefined): string {
  const format = /^lockfileVersion:\s*['"]?(\d+)/m.exec(lock ?? '')?.[1];
  return format === '5' ? '7' : format === '6' ? '8' : '9';
}

function throughManager(program: string, npmPackage: string, args: string): string {
  return [
    'export COREPACK_ENABLE_DOWNLOAD_PROMPT=0',
    `if ${program} --version >/dev/null 2>&1; then ${program} ${args}`,
    `elif corepack ${program} --version >/dev/null 2>&1; then corepack ${program} ${args}`,
    `else npx --yes --package=${quoteWord(npmPackage)} -- ${program} ${args}`,
    'fi',
  ].join('\n');
}
