// Loaded into mocha twice over: by `--require`, to choose among the files that the project's own configuration finds,
// and by `--reporter`, to append a line of JSON for every test to `results.jsonl` (see `result-lines.ts`).
//
// HELIX_UNITS `list`: writes the files that would run to `list.json` and runs none of them.
// Otherwise `units` in the output folder holds the files to run, each ended by NUL.
const { appendFileSync, readFileSync, realpathSync, writeFileSync } = require('node:fs');
const { dirname, resolve } = require('node:path');

const folder = process.env.HELIX_OUTPUT_DIR;
const file = `${folder}/results.jsonl`;
const messageLimit = 16_000;
const spentMs = new Map();

const tell = (line) => appendFileSync(file, `${JSON.stringify(line)}\n`);
const spend = (unit, sinceMs) => spentMs.set(unit, (spentMs.get(unit) ?? 0) + performance.now() - sinceMs);

function textOf(error) {
  if (!(error instanceof Error) && typeof error?.stack !== 'string') return String(error?.message ?? error).slice(0, messageLimit);
  const stack = String(error.stack ?? '');
  return (stack.includes(error.message) ? stack : `${error.name}: ${error.message}\n${stack}`).slice(0, messageLimit);
}

function chooseFiles(Mocha) {
  const wanted =
    process.env.HELIX_UNITS === 'list'
      ? undefined
      : new Set(
          readFileSync(`${folder}/units`, 'utf8')
            .split('\0')
            .filter(Boolean)
            .map((unit) => resolve(unit)),
        );

  // Files given by `--file` set things up for all others: they always run and are no units.
  const divide = (mocha) => {
    const first = new Set((mocha.options?.file ?? []).map((path) => resolve(path)));
    const found = mocha.files.map((path) => resolve(path));
    return { first: found.filter((path) => first.has(path)), units: found.filter((path) => !first.has(path)) };
  };

  const loadEach = async (mocha, load) => {
    const { first, units } = divide(mocha);
    if (!wanted) {
      writeFileSync(`${folder}/list.json`, JSON.stringify(units));
      mocha.files = [];
      return load();
    }
    const chosen = units.filter((path) => wanted.has(path));
    for (const path of [...first, ...chosen]) {
      mocha.files = [path];
      const sinceMs = performance.now();
      try {
        await load();
      } catch (error) {
        tell({ is: 'error', unit: first.includes(path) ? undefined : path, message: textOf(error) });
      }
      // A hook outside any suite knows no file; it fails for the file that has it.
      for (const list of ['_beforeAll', '_beforeEach', '_afterEach', '_afterAll']) {
        for (const hook of mocha.suite[list] ?? []) hook.file ??= path;
      }
      spend(path, sinceMs);
    }
    mocha.files = [...first, ...chosen];
    return undefined;
  };

  const { loadFilesAsync, loadFiles } = Mocha.prototype;
  Mocha.prototype.loadFilesAsync = function (options) {
    return loadEach(this, () => loadFilesAsync.call(this, options));
  };
  Mocha.prototype.loadFiles = function (done) {
    const { first, units } = divide(this);
    if (!wanted) writeFileSync(`${folder}/list.json`, JSON.stringify(units));
    this.files = wanted ? [...first, ...units.filter((path) => wanted.has(path))] : [];
    return loadFiles.call(this, done);
  };
}

class HelixReporter {
  constructor(runner) {
    const root = runner.suite;
    const lastSuites = new Map();
    const over = new Set();
    let markMs = performance.now();
    const account = (unit) => {
      if (unit) spend(unit, markMs);
      markMs = performance.now();
    };
    const end = (unit) => {
      if (over.has(unit)) return;
      over.add(unit);
      tell({ is: 'unit', unit, durationMs: spentMs.get(unit) ?? 0 });
    };
    const tellTest = (test, outcome, error) => {
      account(test.file);
      const message = outcome === 'failed' ? textOf(error) : undefined;
      if (!test.file) {
        if (message !== undefined) tell({ is: 'error', message: `${test.fullTitle()}\n${message}` });
        return;
      }
      tell({ is: 'case', unit: test.file, name: test.titlePath(), outcome, durationMs: test.duration ?? 0, message });
    };
    runner.once('start', () => {
      for (const suite of root.suites) lastSuites.set(suite.file, suite);
    });
    runner.on('pass', (test) => tellTest(test, 'passed'));
    runner.on('pending', (test) => tellTest(test, 'skipped'));
    runner.on('fail', (test, error) => tellTest(test, 'failed', error));
    runner.on('suite end', (suite) => {
      if (!suite.root && lastSuites.get(suite.file) === suite) {
        account(suite.file);
        end(suite.file);
      }
    });
    runner.once('end', () => {
      if (process.env.HELIX_UNITS === 'list') return;
      for (const unit of readFileSync(`${folder}/units`, 'utf8').split('\0').filter(Boolean)) end(resolve(unit));
    });
  }
}

if (!globalThis.helixMochaChosen) {
  globalThis.helixMochaChosen = true;
  const from = [process.cwd(), dirname(realpathSync(process.argv[1]))];
  const loaded = require(require.resolve('mocha', { paths: from }));
  chooseFiles(loaded.default ?? loaded);
}

module.exports = HelixReporter;
