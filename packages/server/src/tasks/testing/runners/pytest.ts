import { z } from 'zod';
import { readLcov } from '../lcov.ts';
import { placeReporter } from '../reporter-files.ts';
import { parseResultLines } from '../result-lines.ts';
import { listingFailed, NOTE_ROOT, parseJson, readRoot, readText, relativeToRoot } from '../run-output.ts';
import { quotePath, quoteWord } from '../shell-words.ts';
import type { TestOptions, TestRunner } from '../test-runner.ts';

const listed = z.array(z.string());

/** The project's own virtual environment goes first, where its setup step made one. */
const PREPARE = [
  NOTE_ROOT,
  'for folder in .venv venv; do if [ -x "$PWD/$folder/bin/python3" ]; then PATH="$PWD/$folder/bin:$PATH"; export PATH; fi; done',
  placeReporter('run-pytest.py'),
];

const start = (options: TestOptions, mode: 'list' | 'run'): string =>
  [
    `HELIX_COVERAGE=${options.coverage ? 1 : 0} exec python3 "$HELIX_OUTPUT_DIR/run-pytest.py" ${mode}`,
    ...options.args.map(quoteWord),
  ].join(' ');

/** pytest 6 and newer, with the project's own configuration and plugins: a unit is a file that has tests. */
export const pytest: TestRunner = {
  name: 'pytest',
  requires: ['python3'],

  async detect(files) {
    if (files.paths.some((path) => /^(?:pytest\.ini|\.pytest\.ini|conftest\.py|tests?\/conftest\.py)$/.test(path))) return true;
    if (/^\[tool\.pytest/m.test((await files.read('pyproject.toml')) ?? '')) return true;
    if (/^\[(?:tool:)?pytest\]/m.test(`${(await files.read('setup.cfg')) ?? ''}\n${(await files.read('tox.ini')) ?? ''}`)) return true;
    return files.paths.some((path) => /(?:^|\/)(?:test_[^/]*|[^/]*_test)\.py$/.test(path));
  },

  // What a Python project needs installed cannot be known from its tree; its own helix.json says it.
  setup: async () => undefined,

  list: async (_files, options) => ({ command: [...PREPARE, `${start(options, 'list')} >&2`].join('\n') }),

  async parseListing(output) {
    const root = await readRoot(output);
    const found = listed.safeParse(parseJson(await readText(output, 'file:list.json'))).data;
    if (!found) throw await listingFailed('pytest', output);
    return found.flatMap((path) => relativeToRoot(path, root) ?? []);
  },

  runCommand: async (_files, units, options) => [...PREPARE, `${start(options, 'run')} ${units.map(quotePath).join(' ')}`].join('\n'),

  async parseResults(output, units) {
    return { results: await parseResultLines(output, units), ...(await readLcov(output)) };
  },
};
