import { z } from 'zod';
import { divideArgs, findJsTestScript, type JsTestScript, jsPrelude } from '../js-test-script.ts';
import { readLcov } from '../lcov.ts';
import { findNodeSetup } from '../node-setup.ts';
import { dependsOn, readPackageJson } from '../package-json.ts';
import { collectLcov, placeReporter, runThen } from '../reporter-files.ts';
import { parseResultLines } from '../result-lines.ts';
import { listingFailed, NOTE_ROOT, parseJson, readRoot, readText, relativeToRoot } from '../run-output.ts';
import { quotePath, quoteWord } from '../shell-words.ts';
import type { ProjectFiles, TestOptions, TestRunner } from '../test-runner.ts';

const FLAGS =
  /^(?:-[uwh]|--(?:run|watch|ui|open|globals|dom|isolate|typecheck|passWithNoTests|logHeapUsage|allowOnly|silent|hideSkippedTests|coverage|update|dangerouslyIgnoreUnhandledErrors|expandSnapshotDiff|disableConsoleIntercept|printConsoleTrace|includeTaskLocation|fileParallelism|segfaultRetry|single-thread|threads|color|cache|clearScreen|experimental-vm-threads|changed|standalone|inspect|inspect-brk|browser|[\w-]+(?:\.[\w-]+)*\.(?:enabled|isolate|headless|singleFork|singleThread)))$/;
const DROPPED =
  /^(?:-[uw]|--(?:run|watch|ui|open|update|reporter|outputFile(?:\..*)?|coverage(?:\..*)?|changed|shard|bail|standalone|clearScreen))$/;

/** One slot, one test process, in the variables that each version reads (flags differ between versions). */
const ONE_PROCESS = [
  'VITEST_MAX_WORKERS',
  'VITEST_MIN_WORKERS',
  'VITEST_MAX_FORKS',
  'VITEST_MIN_FORKS',
  'VITEST_MAX_THREADS',
  'VITEST_MIN_THREADS',
];

const listed = z.array(z.object({ file: z.string() }));
const coverageFolder = '"$HELIX_OUTPUT_DIR/coverage"';

async function invocation(files: ProjectFiles, options: TestOptions) {
  const found = await findJsTestScript(files);
  const script: JsTestScript | undefined = found?.runner === 'vitest' ? found : undefined;
  const { options: kept, positionals } = divideArgs(script?.args ?? [], FLAGS, DROPPED);
  return {
    script,
    program: (script?.program ?? ['vitest']).join(' '),
    kept: [...kept, ...options.args.map(quoteWord)].join(' '),
    filters: positionals.filter(({ text }) => !/^(?:run|watch|dev|list|bench)$/.test(text)).map(({ raw }) => raw),
  };
}

/** vitest 1.1 and newer, projects and workspaces included: a unit is a test file, run in every project that has it. */
export const vitest: TestRunner = {
  name: 'vitest',
  requires: ['node'],

  async detect(files) {
    const script = await findJsTestScript(files);
    if (script) return script.runner === 'vitest';
    const manifest = await readPackageJson(files);
    const configured = files.paths.some((path) => /^vitest\.(?:config|workspace)\.[cm]?[jt]s(?:on)?$/.test(path));
    return manifest !== undefined && (configured || dependsOn(manifest, 'vitest'));
  },

  setup: findNodeSetup,

  async list(files, options) {
    const { script, program, kept, filters } = await invocation(files, options);
    const rest = [kept, ...filters].filter(Boolean).join(' ');
    return {
      command: [
        NOTE_ROOT,
        ...jsPrelude(script),
        `${program} list ${rest} --filesOnly --json="$HELIX_OUTPUT_DIR/list.json" >&2 && exit 0`,
        placeReporter('vitest-files.mjs'),
        `exec node "$HELIX_OUTPUT_DIR/vitest-files.mjs" ${rest} >&2`,
      ].join('\n'),
    };
  },

  async parseListing(output) {
    const root = await readRoot(output);
    const found = listed.safeParse(parseJson(await readText(output, 'file:list.json'))).data;
    if (!found) throw await listingFailed('vitest', output);
    return [...new Set(found.flatMap(({ file }) => relativeToRoot(file, root) ?? []))];
  },

  async runCommand(files, units, options) {
    const { script, program, kept } = await invocation(files, options);
    const coverage = options.coverage
      ? `--coverage.enabled=true --coverage.reporter=lcovonly --coverage.reportsDirectory=${coverageFolder} --coverage.reportOnFailure=true`
      : '--coverage.enabled=false';
    const command = `${program} run ${kept} --bail=0 --reporter="$HELIX_OUTPUT_DIR/vitest-reporter.mjs" ${coverage} ${units.map(quotePath).join(' ')}`;
    return [
      NOTE_ROOT,
      placeReporter('vitest-reporter.mjs'),
      ...jsPrelude(script),
      `export ${ONE_PROCESS.map((name) => `${name}=1`).join(' ')}`,
      ...runThen(command, options.coverage ? [collectLcov(coverageFolder)] : []),
    ].join('\n');
  },

  async parseResults(output, units) {
    return { results: await parseResultLines(output, units), ...(await readLcov(output)) };
  },
};
