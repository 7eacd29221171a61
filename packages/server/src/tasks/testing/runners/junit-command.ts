import { posix } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { TestCase, UnitResult } from '@helixcode/protocol/test/test-result';
import { findLocation } from '../find-location.ts';
import { type JunitCase, parseJunit } from '../junit-xml.ts';
import { failOutsideTests } from '../result-lines.ts';
import { describeEnd, NOTE_ROOT, readRoot, relativeToRoot } from '../run-output.ts';
import { quotePath, quoteWord } from '../shell-words.ts';
import type { RunOutput, TestOptions, TestRunner } from '../test-runner.ts';

function configured(options: TestOptions) {
  if (options.junit) return options.junit;
  throw new CodedError('config.invalid', 'runner "junit" needs tools.test.junit with command, files and junit', {
    next: 'helix config check',
  });
}

/** The part of a glob before its first wildcard: where to look. */
const fixedFolder = (glob: string): string => posix.dirname(`${glob.replace(/[*?[{].*$/s, '')}x`);

/**
 * A `find` of the files a glob names. Its `*` crosses folders, which at most finds more; braces are spelt out.
 */
function findFiles(glob: string): string[] {
  const [, before = '', choices, after = ''] = /^(.*?)\{([^{}]*)\}(.*)$/s.exec(glob) ?? [];
  if (choices !== undefined) return choices.split(',').flatMap((choice) => findFiles(`${before}${choice}${after}`));
  const folder = posix.normalize(fixedFolder(glob));
  const from = folder === '.' ? '.' : `./${folder}`;
  const pattern = `./${posix.normalize(glob)}`.replace(/\*\*\//g, '*').replace(/\*+/g, '*');
  return [`find ${quoteWord(from)} -name node_modules -prune -o -type f -path ${quoteWord(pattern)} -print 2>/dev/null`];
}

/**
 * Any command that runs the files it is given and writes JUnit XML. A test belongs to the unit that the XML names as
 * its `file`, its suite or its class; where it names none and several units ran, the units it could belong to are
 * `missing`, and tell more when run alone.
 */
export const junitCommand: TestRunner = {
  name: 'junit',
  requires: [],

  // Only ever chosen by name.
  detect: async () => false,
  setup: async () => undefined,

  async list(files, options) {
    const { files: globs } = configured(options);
    return { units: files.paths.filter((path) => globs.some((glob) => posix.matchesGlob(path, posix.normalize(glob)))) };
  },

  parseListing: async () => [],

  async runCommand(_files, units, options) {
    const { command, junit } = configured(options);
    const find = `{ ${findFiles(junit).join('; ')}; }`;
    // Reports of an earlier run, tracked ones too, must not be taken for this one's.
    return [
      NOTE_ROOT,
      `${find} | while IFS= read -r report; do rm -f "$report"; done`,
      `( ${[command.replaceAll('{files}', () => units.map(quotePath).join(' ')), ...options.args.map(quoteWord)].join(' ')}\n)`,
      'status=$?',
      'n=0',
      `${find} | while IFS= read -r report; do n=$((n + 1)); cp "$report" "$HELIX_OUTPUT_DIR/junit-$n.xml"; done`,
      'exit $status',
    ].join('\n');
  },

  async parseResults(output, units) {
    const root = await readRoot(output);
    const { cases, errors } = await readReports(output);
    const byUnit = new Map<string, TestCase[]>(units.map((unit) => [unit, []]));
    const lost: JunitCase[] = [];
    for (const one of cases) {
      const unit = findUnit(one, units, root);
      if (unit === undefined) lost.push(one);
      else byUnit.get(unit)?.push(toCase(one, unit, root));
    }
    const end = await describeEnd(output);
    const hint = lost.length > 0 ? `the JUnit XML names no file for ${lost.length} tests, such as "${lost[0]?.name}"; ` : '';
    const results = units.map((unit): UnitResult => {
      const own = byUnit.get(unit) ?? [];
      const durationMs = own.reduce((sum, one) => sum + one.durationMs, 0);
      if (own.length === 0) return { unit, outcome: 'missing', durationMs, cases: own, message: `it gave no result; ${hint}${end}` };
      return { unit, outcome: own.some((one) => one.outcome === 'failed') ? 'failed' : 'passed', durationMs, cases: own };
    });
    const lostFailures = lost
      .filter((one) => one.outcome === 'failed')
      .map((one) => `${one.name} failed, and the JUnit XML names no file for it\n${one.message ?? ''}`);
    const unexplained = output.exitCode !== 0 && results.every((one) => one.outcome === 'passed') ? [end] : [];
    const problems = [...errors, ...lostFailures, ...unexplained];
    return { results: problems.length === 0 ? results : results.map((one) => failOutsideTests(one, problems.join('\n\n'))) };
  },
};

async function readReports(output: RunOutput): Promise<{ cases: JunitCase[]; errors: string[] }> {
  const all: { cases: JunitCase[]; errors: string[] } = { cases: [], errors: [] };
  for (let number = 1; ; number += 1) {
    const bytes = await output.read(`file:junit-${number}.xml`);
    if (!bytes) return all;
    const report = parseJunit(new TextDecoder().decode(bytes));
    if (report) {
      all.cases.push(...report.cases);
      all.errors.push(...report.errors);
    } else all.errors.push(`report ${number} of the run is not JUnit XML, or is cut`);
  }
}

function findUnit(one: JunitCase, units: readonly string[], root: string | undefined): string | undefined {
  if (units.length === 1) return units[0];
  const paths = [one.file, ...one.suites.toReversed(), one.className].flatMap((path) => (path ? (relativeToRoot(path, root) ?? []) : []));
  for (const path of paths) {
    const unit = units.includes(path)
      ? path
      : onlyOne(units.filter((candidate) => candidate.endsWith(`/${path}`) || path.endsWith(`/${candidate}`)));
    if (unit !== undefined) return unit;
  }
  // `a.b.TestC` for a/b/TestC.java, `tests.test_a.TestB` for tests/test_a.py
  const dotted = (unit: string) => unit.replace(/\.[^./]+$/, '').replaceAll('/', '.');
  const within = (name: string) => `.${name}.`;
  return onlyOne(
    units.filter(
      (unit) =>
        one.className !== '' &&
        (within(one.className).startsWith(within(dotted(unit))) || within(dotted(unit)).endsWith(within(one.className))),
    ),
  );
}

const onlyOne = (units: readonly string[]): string | undefined => (units.length === 1 ? units[0] : undefined);

function toCase(one: JunitCase, unit: string, root: string | undefined): TestCase {
  const file = one.file === undefined ? undefined : relativeToRoot(one.file, root);
  const told = file !== undefined && one.line !== undefined ? { file, line: one.line } : undefined;
  const name = [...(one.className && one.className !== unit ? [one.className] : []), one.name].join(' > ');
  return {
    unit,
    name,
    outcome: one.outcome,
    durationMs: one.durationMs,
    ...(one.message !== undefined && { message: one.message, ...(findLocation(one.message, { root, unit }) ?? told) }),
  };
}
