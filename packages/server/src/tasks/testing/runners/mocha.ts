import { z } from 'zod';
import { findJsTestScript, jsPrelude } from '../js-test-script.ts';
import { readLcov } from '../lcov.ts';
import { findNodeSetup } from '../node-setup.ts';
import { dependsOn, readPackageJson } from '../package-json.ts';
import { collectLcov, placeReporter, placeUnits, runThen } from '../reporter-files.ts';
import { parseResultLines } from '../result-lines.ts';
import { listingFailed, NOTE_ROOT, parseJson, readRoot, readText, relativeToRoot } from '../run-output.ts';
import { quoteWord, type ShellWord } from '../shell-words.ts';
import type { ProjectFiles, TestOptions, TestRunner } from '../test-runner.ts';

const listed = z.array(z.string());
const coverageFolder = '"$HELIX_OUTPUT_DIR/coverage"';

/** The project's own words but for those that say how to report, when to stop, and to watch. */
function ownArgs(args: readonly ShellWord[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const { text = '', raw = '' } = args[at] ?? {};
    if (/^(?:--reporter|-R|--reporter-options?|-O|--jobs|-j)$/.test(text)) at += 1;
    else if (!/^(?:--reporter|--reporter-options?|--jobs)=|^(?:--watch|-w|--parallel|-p|--bail|-b)$/.test(text)) kept.push(raw);
  }
  return kept;
}

async function invocation(files: ProjectFiles, options: TestOptions) {
  const found = await findJsTestScript(files);
  const script = found?.runner === 'mocha' ? found : undefined;
  const words = [...(script?.program ?? ['mocha']), ...ownArgs(script?.args ?? []), ...options.args.map(quoteWord)];
  const ours = '--no-parallel --no-bail --require "$HELIX_OUTPUT_DIR/mocha-reporter.cjs" --reporter "$HELIX_OUTPUT_DIR/mocha-reporter.cjs"';
  return { script, start: `${words.join(' ')} ${ours}` };
}

/**
 * mocha 8 and newer: a unit is a file that its configuration (`spec`, or the words of the test script) names. The whole
 * configuration stays as it is; our preloaded file chooses among the files it gives.
 */
export const mocha: TestRunner = {
  name: 'mocha',
  requires: ['node'],

  async detect(files) {
    const script = await findJsTestScript(files);
    if (script) return script.runner === 'mocha';
    const manifest = await readPackageJson(files);
    const configured = files.paths.some((path) => /^\.mocharc\.(?:[cm]?js|jsonc?|ya?ml)$/.test(path));
    return manifest !== undefined && (configured || manifest.mocha !== undefined || dependsOn(manifest, 'mocha'));
  },

  setup: findNodeSetup,

  async list(files, options) {
    const { script, start } = await invocation(files, options);
    return {
      command: [NOTE_ROOT, placeReporter('mocha-reporter.cjs'), ...jsPrelude(script), `HELIX_UNITS=list ${start} >&2`].join('\n'),
    };
  },

  async parseListing(output) {
    const root = await readRoot(output);
    const found = listed.safeParse(parseJson(await readText(output, 'file:list.json'))).data;
    if (!found) throw await listingFailed('mocha', output);
    return [...new Set(found.flatMap((path) => relativeToRoot(path, root) ?? []))];
  },

  async runCommand(files, units, options) {
    const { script, start } = await invocation(files, options);
    const cover = options.coverage ? `c8 --reporter=lcovonly --reports-dir=${coverageFolder} --check-coverage=false ` : '';
    return [
      NOTE_ROOT,
      placeReporter('mocha-reporter.cjs'),
      ...jsPrelude(script),
      placeUnits(units),
      ...(options.coverage
        ? [
            `if command -v c8 >/dev/null 2>&1; then ${cover}${start}\nelse ${start}\nfi`,
            'status=$?',
            collectLcov(coverageFolder),
            'exit $status',
          ]
        : runThen(start, [])),
    ].join('\n');
  },

  async parseResults(output, units) {
    return { results: await parseResultLines(output, units), ...(await readLcov(output)) };
  },
};
