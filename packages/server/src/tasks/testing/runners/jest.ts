import { z } from 'zod';
import { divideArgs, findJsTestScript, jsPrelude } from '../js-test-script.ts';
import { readLcov } from '../lcov.ts';
import { findNodeSetup } from '../node-setup.ts';
import { dependsOn, readPackageJson } from '../package-json.ts';
import { collectLcov, placeReporter, runThen } from '../reporter-files.ts';
import { parseResultLines } from '../result-lines.ts';
import { listingFailed, NOTE_ROOT, parseJson, readRoot, readText, relativeToRoot } from '../run-output.ts';
import { quoteWord } from '../shell-words.ts';
import type { ProjectFiles, TestOptions, TestRunner } from '../test-runner.ts';

const FLAGS =
  /^(?:-[bieofuhv]|--(?:all|automock|bail|cache|changedFilesWithAncestor|ci|clearMocks|colors|coverage|collectCoverage|debug|detectLeaks|detectOpenHandles|errorOnDeprecated|expand|findRelatedTests|forceExit|injectGlobals|json|lastCommit|listTests|logHeapUsage|noStackTrace|notify|onlyChanged|onlyFailures|openHandlesTimeout|passWithNoTests|randomize|resetMocks|resetModules|restoreMocks|runInBand|runTestsByPath|showConfig|showSeed|silent|skipFilter|testLocationInResults|updateSnapshot|useStderr|verbose|waitNextEventLoopTurnForUnhandledRejectionEvents|watch|watchAll|watchman|workerThreads))$/;
const DROPPED =
  /^(?:-[bifouw]|--(?:bail|json|outputFile|reporters|coverage|collectCoverage|coverageReporters|coverageDirectory|coverageThreshold|watch|watchAll|watchman|runInBand|maxWorkers|onlyChanged|onlyFailures|changedSince|lastCommit|updateSnapshot|shard|findRelatedTests|runTestsByPath|listTests|notify))$/;

const listed = z.array(z.string());
const coverageFolder = '"$HELIX_OUTPUT_DIR/coverage"';

async function invocation(files: ProjectFiles, options: TestOptions) {
  const found = await findJsTestScript(files);
  const script = found?.runner === 'jest' ? found : undefined;
  const { options: kept, positionals } = divideArgs(script?.args ?? [], FLAGS, DROPPED);
  const program = (script?.program ?? ['jest']).join(' ');
  return {
    script,
    start: [program, ...kept, ...options.args.map(quoteWord)].join(' '),
    patterns: positionals.map(({ raw }) => raw),
  };
}

/** jest 24 and newer, `projects` included: a unit is a test file. */
export const jest: TestRunner = {
  name: 'jest',
  requires: ['node'],

  async detect(files) {
    const script = await findJsTestScript(files);
    if (script) return script.runner === 'jest';
    const manifest = await readPackageJson(files);
    const configured = files.paths.some((path) => /^jest\.config\.(?:[cm]?[jt]s|json)$/.test(path));
    return manifest !== undefined && (configured || manifest.jest !== undefined || dependsOn(manifest, 'jest'));
  },

  setup: findNodeSetup,

  async list(files, options) {
    const { script, start, patterns } = await invocation(files, options);
    return {
      command: [
        NOTE_ROOT,
        ...jsPrelude(script),
        `exec ${start} --watchAll=false --listTests --json ${patterns.length > 0 ? `-- ${patterns.join(' ')}` : ''}`.trim(),
      ].join('\n'),
    };
  },

  async parseListing(output) {
    const root = await readRoot(output);
    // Configuration files may print before it; the list is one line of its own.
    const lines = (await readText(output, 'out')).split('\n').reverse();
    const found = lines.map((line) => listed.safeParse(line.startsWith('[') ? parseJson(line) : undefined).data).find(Boolean);
    if (!found) throw await listingFailed('jest', output);
    return found.flatMap((path) => relativeToRoot(path, root) ?? []).sort();
  },

  async runCommand(files, units, options) {
    const { script, start } = await invocation(files, options);
    const coverage = options.coverage
      ? `--coverage --coverageReporters=lcovonly --coverageDirectory=${coverageFolder} --coverageThreshold='{}'`
      : '--coverage=false';
    const command = `${start} --watchAll=false --bail=0 --maxWorkers=1 ${coverage} --reporters="$HELIX_OUTPUT_DIR/jest-reporter.cjs" --runTestsByPath -- ${units.map(quoteWord).join(' ')}`;
    return [
      NOTE_ROOT,
      placeReporter('jest-reporter.cjs'),
      ...jsPrelude(script),
      ...runThen(command, options.coverage ? [collectLcov(coverageFolder)] : []),
    ].join('\n');
  },

  async parseResults(output, units) {
    return { results: await parseResultLines(output, units), ...(await readLcov(output)) };
  },
};
