import type { TestCase, UnitResult } from '@helixcode/protocol/test/test-result';
import { z } from 'zod';
import { findLocation } from '../find-location.ts';
import { boundMessage, describeEnd, listingFailed, NOTE_ROOT, parseJson, readRoot, readText } from '../run-output.ts';
import { quoteWord } from '../shell-words.ts';
import type { RunOutput, TestRunner } from '../test-runner.ts';
import { EACH_UNIT, EXIT_FAILED, readStatus, readUnitLog } from '../unit-loop.ts';

const metadata = z.object({
  packages: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      manifest_path: z.string(),
      targets: z.array(
        z.object({ name: z.string(), kind: z.array(z.string()), test: z.boolean().default(true), doctest: z.boolean().default(false) }),
      ),
    }),
  ),
  workspace_members: z.array(z.string()),
  workspace_default_members: z.array(z.string()).optional(),
  workspace_root: z.string(),
});

const logLimitBytes = 64 * 1024 * 1024;

/**
 * Cargo packages and workspaces: a unit is a test binary, named `<package>/lib`, `<package>/bin/<name>`,
 * `<package>/test/<name>`, `<package>/example/<name>`, or `<package>/doc` for the examples in its documentation. Those
 * of the workspace's default members, as `cargo test` itself takes them, or of all with `--workspace` among the args.
 */
export const cargoTest: TestRunner = {
  name: 'cargo-test',
  requires: ['cargo'],

  detect: async (files) => files.paths.includes('Cargo.toml'),
  setup: async () => undefined,

  list: async () => ({ command: [NOTE_ROOT, 'exec cargo metadata --no-deps --format-version=1'].join('\n') }),

  async parseListing(output) {
    const found = metadata.safeParse(parseJson((await readText(output, 'out')).trim())).data;
    if (!found) throw await listingFailed('cargo', output);
    const rootPackage = found.packages.find((one) => one.manifest_path === `${found.workspace_root}/Cargo.toml`);
    const members = new Set(found.workspace_default_members ?? (rootPackage ? [rootPackage.id] : found.workspace_members));
    return found.packages.filter((one) => members.has(one.id)).flatMap(unitsOf);
  },

  async runCommand(_files, units, options) {
    return [
      NOTE_ROOT,
      // Once for all, so that the time to compile is not taken for the first unit's own.
      `cargo test --no-run ${[...new Set(units.map(packageOf))].map((crate) => `-p ${quoteWord(crate)}`).join(' ')} >&2`,
      EACH_UNIT,
      ...units.map(
        (unit, number) =>
          `each_unit ${number} cargo test ${[...targetArgs(unit), ...options.args].map(quoteWord).join(' ')} -- --test-threads=1`,
      ),
      EXIT_FAILED,
    ].join('\n');
  },

  async parseResults(output, units) {
    return { results: await Promise.all(units.map((unit, number) => readUnit(output, unit, number))) };
  },
};

function unitsOf(crate: z.infer<typeof metadata>['packages'][number]): string[] {
  const units: string[] = [];
  for (const target of crate.targets) {
    const kind = target.kind[0] ?? '';
    const isLib = /^(?:lib|rlib|dylib|cdylib|staticlib|proc-macro)$/.test(kind);
    if (target.test && isLib) units.push(`${crate.name}/lib`);
    else if (target.test && /^(?:bin|test|example)$/.test(kind)) units.push(`${crate.name}/${kind}/${target.name}`);
    if (target.doctest && isLib) units.push(`${crate.name}/doc`);
  }
  return units;
}

const packageOf = (unit: string): string => unit.split('/', 1)[0] ?? unit;

function targetArgs(unit: string): string[] {
  const [crate = '', kind = '', ...name] = unit.split('/');
  return ['-p', crate, `--${kind}`, ...(name.length > 0 ? [name.join('/')] : [])];
}

async function readUnit(output: RunOutput, unit: string, number: number): Promise<UnitResult> {
  const status = await readStatus(output, number);
  const root = await readRoot(output);
  const { cases, summary } = parseLibtest(await readText(output, `file:${number}.log`, logLimitBytes), unit, root);
  const failed = cases.filter((one) => one.outcome === 'failed').length;
  const result: UnitResult = { unit, outcome: failed > 0 ? 'failed' : 'passed', durationMs: summary?.durationMs ?? 0, cases };
  if (status === undefined) return { ...result, outcome: 'missing', message: `it did not come to its end; ${await describeEnd(output)}` };
  const asSummed =
    summary !== undefined &&
    summary.failed === failed &&
    summary.passed === cases.filter((one) => one.outcome === 'passed').length &&
    summary.ignored === cases.filter((one) => one.outcome === 'skipped').length;
  if (asSummed && (status === 0) === (failed === 0)) return result;
  const fact = status === 0 ? 'its report of tests is not complete' : `cargo ended with exit status ${status}`;
  const said = await readUnitLog(output, number);
  const message = boundMessage(`${fact}:\n${said}`);
  return { ...result, outcome: 'error', message };
}

interface Libtest {
  cases: TestCase[];
  summary: { passed: number; failed: number; ignored: number; durationMs: number } | undefined;
}

/**
 * Reads what a test binary prints: `test name ... ok`, the captured output of failures, and the summary. What a test
 * prints past the capture can stand between the name and the outcome; the summary is there to be compared with.
 */
function parseLibtest(text: string, unit: string, root: string | undefined): Libtest {
  const cases: TestCase[] = [];
  const messages = new Map<string, string>();
  for (const [, name = '', said = ''] of text.matchAll(
    /^---- (.+?)(?: stdout)? ----\n([\s\S]*?)(?=^---- .+ ----$|^failures:$|^test result: )/gm,
  )) {
    messages.set(name, boundMessage(said));
  }
  const starts = [...text.matchAll(/^test (.+?) \.\.\. /gm)];
  for (const [index, start] of starts.entries()) {
    const name = start[1]?.replace(/ - should panic$/, '') ?? '';
    const rest = text.slice(start.index + start[0].length, starts[index + 1]?.index).split(/^failures:$|^test result: /m, 1)[0] ?? '';
    const outcome = [...rest.matchAll(/(ok|FAILED|ignored(?:, .*)?)$/gm)].at(-1)?.[1];
    if (outcome === undefined) continue;
    if (outcome !== 'FAILED') {
      cases.push({ unit, name, outcome: outcome === 'ok' ? 'passed' : 'skipped', durationMs: 0 });
      continue;
    }
    const message = messages.get(name) ?? messages.get(start[1] ?? '') ?? 'failed without a message';
    cases.push({ unit, name, outcome: 'failed', durationMs: 0, message, ...findLocation(message, { root, unit }) });
  }
  return { cases, summary: readSummaries(text) };
}

/** The sum over all summaries: documentation examples can come in two parts. */
function readSummaries(text: string): Libtest['summary'] {
  let sum: Libtest['summary'];
  for (const found of text.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;[^\n]*?(?:finished in (\d+(?:\.\d+)?)s)?$/gm,
  )) {
    const [passed = 0, failed = 0, ignored = 0, seconds = 0] = found.slice(1).map((part) => Number(part ?? 0));
    sum = {
      passed: (sum?.passed ?? 0) + passed,
      failed: (sum?.failed ?? 0) + failed,
      ignored: (sum?.ignored ?? 0) + ignored,
      durationMs: (sum?.durationMs ?? 0) + seconds * 1000,
    };
  }
  return sum;
}
