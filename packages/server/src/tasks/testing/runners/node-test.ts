import { posix } from 'node:path';
import { z } from 'zod';
import { findJsTestScript, type JsTestScript, jsPrelude } from '../js-test-script.ts';
import { readLcov } from '../lcov.ts';
import { findNodeSetup } from '../node-setup.ts';
import { readPackageJson } from '../package-json.ts';
import { placeReporter, placeUnits } from '../reporter-files.ts';
import { parseResultLines } from '../result-lines.ts';
import { listingFailed, NOTE_ROOT, parseJson, readText } from '../run-output.ts';
import { quotePath, quoteWord, type ShellWord } from '../shell-words.ts';
import type { ProjectFiles, TestRunner } from '../test-runner.ts';

const checkout = z.object({ typescript: z.boolean(), files: z.array(z.string()) });

/** Options of node with a value of their own word. */
const WITH_VALUE =
  /^(?:-r|-C|-e|--(?:import|require|loader|experimental-loader|conditions|env-file|env-file-if-exists|input-type|title|test-name-pattern|test-skip-pattern|test-coverage-include|test-coverage-exclude|test-reporter|test-reporter-destination|test-timeout|test-shard|test-concurrency|test-isolation|experimental-test-isolation|watch-path))$/;
/** What we say ourselves, and what is for the whole suite. */
const DROPPED =
  /^--(?:test|watch|watch-path|test-reporter|test-reporter-destination|test-shard|test-concurrency|test-isolation|experimental-test-isolation|experimental-test-coverage|test-coverage-(?:lines|branches|functions))$/;

interface NodeTestArgs {
  options: string[];
  patterns: ShellWord[];
}

function divideNodeArgs(args: readonly ShellWord[]): NodeTestArgs {
  const divided: NodeTestArgs = { options: [], patterns: [] };
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at];
    if (!word || word.text === '--') continue;
    if (!word.text.startsWith('-')) {
      divided.patterns.push(word);
      continue;
    }
    const name = word.text.split('=', 1)[0] ?? '';
    const value = !word.text.includes('=') && WITH_VALUE.test(name) ? args[(at += 1)] : undefined;
    if (!DROPPED.test(name)) divided.options.push(word.raw, ...(value ? [value.raw] : []));
  }
  return divided;
}

const inScript = async (files: ProjectFiles): Promise<JsTestScript | undefined> => {
  const script = await findJsTestScript(files);
  return script?.runner === 'node-test' ? script : undefined;
};

/**
 * node:test of Node 20 and newer: a unit is a file that `node --test` would run. The files are those that the test script names, or the documented defaults.
 *
 * @see https://nodejs.org/api/test.html#running-tests-from-the-command-line
 */
export const nodeTest: TestRunner = {
  name: 'node-test',
  requires: ['node'],

  async detect(files) {
    const script = await findJsTestScript(files);
    if (script) return script.runner === 'node-test';
    if (!(await readPackageJson(files))) return false;
    for (const path of files.paths.filter((candidate) => isDefaultTest(candidate, true)).slice(0, 10)) {
      if (/['"]node:test['"]/.test((await files.read(path)) ?? '')) return true;
    }
    return false;
  },

  setup: findNodeSetup,

  async list(files) {
    const script = await inScript(files);
    const walk =
      "const fs=require('node:fs');const files=[];" +
      "const walk=(folder)=>{for(const one of fs.readdirSync(folder||'.',{withFileTypes:true})){const path=folder+one.name;" +
      "if(one.isDirectory()){if(one.name!=='node_modules'&&one.name!=='.git')walk(path+'/')}else files.push(path)}};walk('');" +
      "fs.writeFileSync(process.env.HELIX_OUTPUT_DIR+'/checkout.json',JSON.stringify({typescript:Boolean(process.features.typescript),files}))";
    return { command: [NOTE_ROOT, ...jsPrelude(script), `exec node -e ${quoteWord(walk)}`].join('\n') };
  },

  async parseListing(output, files) {
    const found = checkout.safeParse(parseJson(await readText(output, 'file:checkout.json'))).data;
    if (!found) throw await listingFailed('node', output);
    const script = await inScript(files);
    const patterns = divideNodeArgs(script?.args ?? []).patterns;
    const paths = found.files.sort();
    if (patterns.length > 0) return [...new Set(patterns.flatMap((pattern) => matchPattern(paths, pattern)))];
    const typescript = found.typescript || script?.program.includes('tsx') === true;
    return paths.filter((path) => isDefaultTest(path, typescript));
  },

  async runCommand(files, units, options) {
    const script = await inScript(files);
    const { options: kept } = divideNodeArgs(script?.args ?? []);
    const coverage = options.coverage
      ? ['--experimental-test-coverage', '--test-reporter=lcov', '--test-reporter-destination="$HELIX_OUTPUT_DIR/lcov.info"']
      : [];
    const start = [
      ...(script?.program ?? ['node']),
      ...kept,
      ...options.args.map(quoteWord),
      '--test --test-concurrency=1 --test-reporter="$HELIX_OUTPUT_DIR/node-test-reporter.mjs" --test-reporter-destination=stdout',
      ...coverage,
    ].join(' ');
    const literally = `exec ${start} ${units.map(quotePath).join(' ')}`;
    const asGlobs = `exec ${start} ${units.map((unit) => quotePath(unit.replace(/[*?[\]{}(]/g, '[$&]'))).join(' ')}`;
    return [
      NOTE_ROOT,
      placeReporter('node-test-reporter.mjs'),
      ...jsPrelude(script),
      placeUnits(units),
      // From Node 21 on the words are globs.
      ...(literally === asGlobs ? [] : [`[ "$(node -p 'parseInt(process.versions.node)')" -ge 21 ] && ${asGlobs}`]),
      literally,
    ].join('\n');
  },

  async parseResults(output, units) {
    return { results: await parseResultLines(output, units), ...(await readLcov(output)) };
  },
};

/** Whether `node --test` without arguments runs this file. */
function isDefaultTest(path: string, typescript: boolean): boolean {
  const [, name = '', extension = ''] = /([^/]*?)(\.[^./]*)?$/.exec(path) ?? [];
  const extensions = typescript ? /^\.[cm]?[jt]s$/ : /^\.[cm]?js$/;
  if (!extensions.test(extension) || name.endsWith('.d') || /(?:^|\/)node_modules\//.test(path)) return false;
  return name === 'test' || name.startsWith('test-') || /[._-]test$/.test(name) || /(?:^|\/)test\//.test(path);
}

/**
 * The files a word of the test script stands for. Unquoted wildcards are the shell's, for which `**` is `*`; what the
 * shell finds nothing for, and what is quoted, node itself expands. A folder stands for the tests below it (Node 20).
 */
function matchPattern(paths: readonly string[], word: ShellWord): string[] {
  const pattern = posix.normalize(word.text).replace(/\/$/, '');
  if (paths.includes(pattern)) return [pattern];
  if (word.wildcard && !pattern.includes('{')) {
    const byShell = paths.filter((path) => posix.matchesGlob(path, pattern.replaceAll('**', '*')));
    if (byShell.length > 0) return byShell;
  }
  const matched = paths.filter((path) => posix.matchesGlob(path, pattern));
  if (matched.length > 0) return matched;
  const below = pattern === '.' ? '' : `${pattern}/`;
  return paths.filter((path) => path.startsWith(below) && (isDefaultTest(path, false) || /(?:^|\/)test$/.test(pattern)));
}
