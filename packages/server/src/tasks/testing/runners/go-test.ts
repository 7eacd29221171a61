import { posix } from 'node:path';
import type { TestCase, UnitResult } from '@helixcode/protocol/test/test-result';
import { z } from 'zod';
import { findLocation } from '../find-location.ts';
import { goCoverToLcov } from '../go-cover.ts';
import { failOutsideTests } from '../result-lines.ts';
import { boundMessage, describeEnd, listingFailed, NOTE_ROOT, parseJson, readRoot, readText, relativeToRoot } from '../run-output.ts';
import { quotePath, quoteWord } from '../shell-words.ts';
import type { ProjectFiles, TestRunner } from '../test-runner.ts';

const event = z.object({
  Action: z.string(),
  Package: z.string().optional(),
  ImportPath: z.string().optional(),
  Test: z.string().optional(),
  Elapsed: z.number().nonnegative().optional().catch(undefined),
  Output: z.string().optional(),
});

/** Import path, a tab, the package's folder. */
const packageFormat = '{{.ImportPath}}\t{{.Dir}}';
const outputLimit = 32_000;
const compilerBytes = 1024 * 1024;

/** The modules of a workspace, or the one at the root. */
async function moduleFolders(files: ProjectFiles): Promise<string[]> {
  const work = await files.read('go.work');
  if (work === undefined) return ['.'];
  const words =
    work
      .replace(/\/\/.*$/gm, '')
      .match(/^use\s*\([\s\S]*?\)|^use\s+\S+/gm)
      ?.join(' ')
      .replace(/\buse\b|[()"]/g, ' ')
      .split(/\s+/) ?? [];
  const folders = words.filter(Boolean).map((folder) => posix.normalize(folder).replace(/\/$/, ''));
  return folders.length > 0 ? folders : ['.'];
}

const patternsOf = (folders: readonly string[]): string =>
  folders.map((folder) => quoteWord(folder === '.' ? './...' : `./${folder}/...`)).join(' ');
const packagesOf = (units: readonly string[]): string => units.map((unit) => quotePath(unit === '.' ? '.' : `./${unit}`)).join(' ');

/** Go modules and workspaces: a unit is the folder of a package that has tests. Every `go test` result is a fresh one. */
export const goTest: TestRunner = {
  name: 'go-test',
  requires: ['go'],

  detect: async (files) => files.paths.includes('go.mod') || files.paths.includes('go.work'),
  setup: async () => undefined,

  async list(files) {
    const format = `{{if or .TestGoFiles .XTestGoFiles}}${packageFormat}{{end}}`;
    return { command: [NOTE_ROOT, `exec go list -e -f ${quoteWord(format)} ${patternsOf(await moduleFolders(files))}`].join('\n') };
  },

  async parseListing(output) {
    if (output.exitCode !== 0) throw await listingFailed('go', output);
    return [...readPackages(await readText(output, 'out'), await readRoot(output)).values()].sort();
  },

  async runCommand(_files, units, options) {
    const coverage = options.coverage ? '-covermode=set -coverprofile="$HELIX_OUTPUT_DIR/cover.out" ' : '';
    return [
      NOTE_ROOT,
      `go list -e -f ${quoteWord(packageFormat)} ${packagesOf(units)} >"$HELIX_OUTPUT_DIR/packages"`,
      `exec go test -json -count=1 -p=1 ${coverage}${[...options.args.map(quoteWord), packagesOf(units)].join(' ')}`,
    ].join('\n');
  },

  async parseResults(output, units) {
    const root = await readRoot(output);
    const packages = readPackages(await readText(output, 'file:packages'), root);
    const told = readEvents(await readText(output, 'out'), packages);
    tellBuildErrors(told, await readText(output, 'err', compilerBytes), packages);
    const end = await describeEnd(output);
    const results = units.map((unit) => settlePackage(unit, told.get(unit), root, end));
    const unexplained = output.exitCode !== 0 && results.every((result) => result.outcome === 'passed');
    const profile = await readText(output, 'file:cover.out');
    return {
      results: unexplained ? results.map((result) => failOutsideTests(result, end)) : results,
      ...(profile !== '' && { lcov: goCoverToLcov(profile, packages) }),
    };
  },
};

/** Import path → folder relative to the root. */
function readPackages(text: string, root: string | undefined): Map<string, string> {
  const packages = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [importPath, folder] = line.split('\t');
    const relative = folder === undefined ? undefined : relativeToRoot(folder, root);
    if (importPath !== undefined && relative !== undefined) packages.set(importPath, relative);
  }
  return packages;
}

interface PackageTold {
  /** Outcome of each test, `undefined` while it runs. */
  tests: Map<string, { outcome?: TestCase['outcome']; durationMs: number; output: string }>;
  outcome?: 'pass' | 'fail' | 'skip';
  durationMs: number;
  /** What was said outside any test. */
  output: string;
}

function readEvents(text: string, packages: ReadonlyMap<string, string>): Map<string, PackageTold> {
  const told = new Map<string, PackageTold>();
  for (const line of text.split('\n')) {
    // Before Go 1.24 this line is no JSON, whatever the flags.
    const notBuilt = /^FAIL\t(\S+) \[(?:build|setup) failed\]/.exec(line)?.[1];
    const said = event.safeParse(notBuilt === undefined ? parseJson(line) : { Action: 'fail', Package: notBuilt, Output: line }).data;
    // A build that failed is told of under `path [path.test]`.
    const unit = packages.get(said?.Package ?? said?.ImportPath?.replace(/ \[.*\]$/, '') ?? '');
    if (!said || unit === undefined) continue;
    const of: PackageTold = told.get(unit) ?? { tests: new Map(), durationMs: 0, output: '' };
    told.set(unit, of);
    const durationMs = (said.Elapsed ?? 0) * 1000;
    if (said.Test === undefined) {
      if (notBuilt !== undefined && of.outcome === 'fail') continue;
      of.output = (of.output + (said.Output ?? '')).slice(-outputLimit);
      if (said.Action === 'pass' || said.Action === 'fail' || said.Action === 'skip') {
        of.outcome = said.Action;
        of.durationMs = durationMs;
      }
      continue;
    }
    const test = of.tests.get(said.Test) ?? { durationMs: 0, output: '' };
    of.tests.set(said.Test, test);
    test.output = (test.output + (said.Output ?? '')).slice(-outputLimit);
    const outcome = said.Action === 'pass' ? 'passed' : said.Action === 'fail' ? 'failed' : said.Action === 'skip' ? 'skipped' : undefined;
    if (outcome) Object.assign(test, { outcome, durationMs });
  }
  return told;
}

/** What the compiler said stands on stderr, before Go 1.24: a line `# import/path [tests]` and then its errors. */
function tellBuildErrors(told: ReadonlyMap<string, PackageTold>, err: string, packages: ReadonlyMap<string, string>): void {
  for (const part of err.split(/^(?=# )/m)) {
    const unit = packages.get(/^# (\S+?)(?:_test)?(?: \[.*\])?$/m.exec(part)?.[1] ?? '');
    const of = unit === undefined ? undefined : told.get(unit);
    if (of?.outcome === 'fail') of.output = `${part}${of.output}`.slice(0, outputLimit);
  }
}

function settlePackage(unit: string, told: PackageTold | undefined, root: string | undefined, end: string): UnitResult {
  if (!told || (told.outcome === undefined && told.tests.size === 0)) {
    return { unit, outcome: 'missing', durationMs: 0, cases: [], message: `it gave no result; ${end}` };
  }
  const cases = [...told.tests].map(([name, test]): TestCase => {
    const outcome = test.outcome ?? 'failed';
    if (outcome !== 'failed') return { unit, name, outcome, durationMs: test.durationMs };
    const said = boundMessage(test.output.replace(/^=== (?:RUN|PAUSE|CONT|NAME) .*\n/gm, ''));
    const message = test.outcome === undefined ? `it did not end\n${said}`.trim() : said || 'failed without a message';
    return { unit, name, outcome, durationMs: test.durationMs, message, ...findLocation(message, { root, unit }) };
  });
  const result: UnitResult = { unit, outcome: 'passed', durationMs: told.durationMs, cases };
  if (told.outcome === undefined)
    return { ...result, outcome: 'missing', message: `it stopped after ${cases.length} of its tests; ${end}` };
  if (cases.some((one) => one.outcome === 'failed')) return { ...result, outcome: 'failed' };
  if (told.outcome !== 'fail') return result;
  return failOutsideTests(result, told.output.trim() || end);
}
