import { type PackageJson, readPackageJson } from './package-json.ts';
import { quoteWord, type ShellCommand, type ShellWord, splitShell } from './shell-words.ts';
import type { ProjectFiles } from './test-runner.ts';

export type JsRunnerName = 'vitest' | 'jest' | 'mocha' | 'node-test';

/** How a project's own test script starts its runner. */
export interface JsTestScript {
  runner: JsRunnerName;
  /** What the script does first (a build, mostly), as one shell command each; linters are left out. */
  before: string[];
  /** `NAME=value` words, as written. */
  env: string[];
  /** Words up to the runner's own program, that one included: `jest`, `node --experimental-vm-modules node_modules/jest/bin/jest.js`. */
  program: string[];
  /** The runner's arguments. */
  args: ShellWord[];
}

const PROGRAMS: Record<string, JsRunnerName> = { vitest: 'vitest', jest: 'jest', mocha: 'mocha', _mocha: 'mocha', 'ts-mocha': 'mocha' };

/** Programs that run the rest of the line and change nothing in what the tests see, with their options that take a value. */
const WRAPPERS: Record<string, RegExp> = {
  c8: /^(?:-[ortxna]|--(?:reporter|reports-dir|temp-directory|include|exclude|src|lines|branches|functions|statements|config))$/,
  nyc: /^(?:-[ortxni]|--(?:reporter|report-dir|temp-dir|include|exclude|extension|require|nycrc-path))$/,
  npx: /^(?:-p|--package)$/,
  bunx: /^$/,
  time: /^$/,
};

const LINTERS =
  /^(?:eslint|xo|standard|prettier|biome|oxlint|tslint|stylelint|tsd|publint|attw|knip|commitlint|markdownlint\S*|cspell|ls-lint|depcheck|dprint|ts-standard|vue-tsc|svelte-check)$/;
const LINT_SCRIPTS =
  /^(?:.*:)?(?:lint|format|fmt|prettier|style|types?|typecheck|type-check|check-types|check:types|spellcheck|audit)(?:[:-].*)?$/;
const scriptDepth = 6;

/**
 * Finds out from `scripts` of the root package.json which runner a project really uses, and how it starts it. Looks at
 * `test` first, then at scripts named for tests of a kind (`test:unit`, `unit`); follows `npm run x` and its like into
 * the script it names. A script that starts several runners one after another counts as its first.
 */
export async function findJsTestScript(files: ProjectFiles): Promise<JsTestScript | undefined> {
  const manifest = await readPackageJson(files);
  if (!manifest) return undefined;
  const others = Object.keys(manifest.scripts).filter(
    (name) => /^(?:tests?|unit|spec)(?::|-|$)/.test(name) && !/watch|debug|ui$|update/.test(name),
  );
  for (const name of new Set(['test', ...others])) {
    const found = followScript(manifest, name, 0);
    if (found?.runner) return found.runner;
  }
  return undefined;
}

interface Followed {
  before: string[];
  runner?: JsTestScript;
}

function followScript(manifest: PackageJson, name: string, depth: number): Followed | undefined {
  const line = manifest.scripts[name];
  if (line === undefined || depth > scriptDepth) return undefined;
  const before =
    Object.hasOwn(manifest.scripts, `pre${name}`) && !isLintScript(manifest, `pre${name}`, depth)
      ? [`npm run --silent ${quoteWord(`pre${name}`)}`]
      : [];
  for (const command of splitShell(line)) {
    if (command.operator === '|' || command.operator === '||') continue;
    const { env, words } = takeEnv(command);
    const runner = asRunner(env, words);
    if (runner) return { before, runner: { ...runner, before } };
    const inner = scriptsCalled(words).map((called) => ({ called, followed: followScript(manifest, called, depth + 1) }));
    for (const { called, followed } of inner) {
      if (followed?.runner) {
        const all = [...before, ...followed.runner.before];
        return {
          before: all,
          runner: {
            ...followed.runner,
            before: all,
            env: [...env, ...followed.runner.env],
            args: [...followed.runner.args, ...argsPassedOn(words)],
          },
        };
      }
      if (!isLintScript(manifest, called, depth)) before.push(`npm run --silent ${quoteWord(called)}`);
    }
    if (inner.length === 0 && words.length > 0 && !isLint(words)) before.push([...env, ...words.map((word) => word.raw)].join(' '));
  }
  return { before };
}

/** Whether a script only looks at the code: by its name, or because nothing else stands in it (`pretest`, mostly). */
function isLintScript(manifest: PackageJson, name: string, depth: number): boolean {
  if (LINT_SCRIPTS.test(name)) return true;
  const line = manifest.scripts[name];
  if (line === undefined || depth > scriptDepth) return false;
  return splitShell(line).every((command) => {
    const { words } = takeEnv(command);
    const called = scriptsCalled(words);
    return called.length > 0 ? called.every((script) => isLintScript(manifest, script, depth + 1)) : isLint(words);
  });
}

/** Splits off `NAME=value` in front, also behind `env` and `cross-env`. */
function takeEnv(command: ShellCommand): { env: string[]; words: ShellWord[] } {
  const words = [...command.words];
  const env: string[] = [];
  for (let first = words[0]; first; first = words[0]) {
    if (/^[A-Za-z_][A-Za-z0-9_]*=/.test(first.text)) env.push(first.raw);
    else if (!/^(?:env|cross-env|cross-env-shell)$/.test(first.text)) break;
    words.shift();
  }
  return { env, words };
}

function asRunner(env: string[], all: ShellWord[]): Omit<JsTestScript, 'before'> | undefined {
  const words = dropWrappers(all);
  const [first] = words;
  if (!first) return undefined;
  const nested = takeEnv({ operator: '', words });
  if (nested.env.length > 0 || nested.words.length < words.length) return asRunner([...env, ...nested.env], nested.words);
  const program = baseName(first.text);
  const runner = PROGRAMS[program];
  if (runner) return { runner, env, program: [first.raw], args: words.slice(1) };
  if (program === 'react-scripts' && words[1]?.text === 'test')
    return { runner: 'jest', env, program: words.slice(0, 2).map(({ raw }) => raw), args: words.slice(2) };
  const dash = words.findIndex((word) => word.text === '--');
  if (/^(?:dotenv|env-cmd|dotenvx)$/.test(program) && dash > 0) {
    const inner = asRunner(env, words.slice(dash + 1));
    return inner && { ...inner, program: [...words.slice(0, dash + 1).map(({ raw }) => raw), ...inner.program] };
  }
  if (program !== 'node' && program !== 'tsx') return undefined;
  const script = words.findIndex((word, index) => index > 0 && PROGRAMS[runnerOfPath(word.text)] !== undefined);
  const named = words[script];
  if (named) {
    return {
      runner: PROGRAMS[runnerOfPath(named.text)] ?? 'mocha',
      env,
      program: words.slice(0, script + 1).map(({ raw }) => raw),
      args: words.slice(script + 1),
    };
  }
  if (words.some((word) => word.text === '--test')) return { runner: 'node-test', env, program: [first.raw], args: words.slice(1) };
  return undefined;
}

function dropWrappers(words: ShellWord[]): ShellWord[] {
  const name = baseName(words[0]?.text ?? '');
  const second = words[1]?.text;
  if (/^(?:yarn|pnpm|npm|bun)$/.test(name) && (second === 'exec' || second === 'dlx' || (second === 'x' && name === 'bun'))) {
    return dropWrappers(words.slice(words[2]?.text === '--' ? 3 : 2));
  }
  if (/^(?:yarn|pnpm|bun)$/.test(name) && second !== undefined && PROGRAMS[second]) return words.slice(1);
  const takesValue = WRAPPERS[name];
  if (!takesValue) return words;
  let at = 1;
  for (let word = words[at]; word?.text.startsWith('-'); word = words[at]) {
    at += word.text !== '--' && takesValue.test(word.text) ? 2 : 1;
  }
  return dropWrappers(words.slice(at));
}

/** The scripts of the same package that a command runs: `npm run x`, `yarn x`, `run-s x y`, and so on. */
function scriptsCalled(words: readonly ShellWord[]): string[] {
  const texts = words.map((word) => word.text).filter((text) => text !== '--silent' && text !== '-s');
  const [program = '', second = '', third = ''] = texts;
  if (/^(?:run-s|run-p|npm-run-all|npm-run-all2)$/.test(program)) return texts.slice(1).filter((text) => !text.startsWith('-'));
  if (!/^(?:npm|yarn|pnpm|bun)$/.test(program)) return [];
  if (second === 'run' || second === 'run-script') return third === '' || third.startsWith('-') ? [] : [third];
  if (second === 'test' || second === 't') return ['test'];
  return program === 'npm' || second.startsWith('-') ? [] : [second];
}

function argsPassedOn(words: readonly ShellWord[]): ShellWord[] {
  const dash = words.findIndex((word) => word.text === '--');
  return dash < 0 ? [] : words.slice(dash + 1);
}

function isLint(words: readonly ShellWord[]): boolean {
  const rest = dropWrappers([...words]);
  const name = baseName(rest[0]?.text ?? '');
  return LINTERS.test(name) || (name === 'tsc' && rest.some((word) => word.text === '--noEmit'));
}

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** `node_modules/jest/bin/jest.js` is jest. */
function runnerOfPath(path: string): string {
  return path.includes('node_modules/') ? baseName(path).replace(/\.[cm]?js$/, '') : '';
}

/** The options of a runner's command line that are kept, and the words that name tests. */
export interface KeptArgs {
  options: string[];
  positionals: ShellWord[];
}

/**
 * Divides a runner's arguments.
 *
 * @param flags long and short options without a value, as written (`--globals`, `-i`); `--no-x` never has one
 * @param dropped options that are not kept, with the value they have
 */
export function divideArgs(args: readonly ShellWord[], flags: RegExp, dropped: RegExp): KeptArgs {
  const kept: KeptArgs = { options: [], positionals: [] };
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at];
    if (!word || word.text === '--') continue;
    if (!word.text.startsWith('-') || word.text === '-') {
      kept.positionals.push(word);
      continue;
    }
    const name = word.text.split('=', 1)[0] ?? word.text;
    const next = args[at + 1];
    const takesNext =
      !word.text.includes('=') && !name.startsWith('--no-') && !flags.test(name) && next !== undefined && !next.text.startsWith('-');
    const raws = takesNext ? [word.raw, next.raw] : [word.raw];
    if (takesNext) at += 1;
    if (!dropped.test(name)) kept.options.push(...raws);
  }
  return kept;
}

/** The lines every command of a JavaScript runner starts with. */
export function jsPrelude(script: JsTestScript | undefined): string[] {
  return [
    'PATH="$PWD/node_modules/.bin:$PATH"; export PATH',
    ...(script?.before ?? []).map((command) => `{ ${command}\n} >&2 || exit $?`),
    ...(script && script.env.length > 0 ? [`export ${script.env.join(' ')}`] : []),
  ];
}
