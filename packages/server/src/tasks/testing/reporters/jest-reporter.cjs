// Appends a line of JSON for every test of a jest run to `results.jsonl`; see `result-lines.ts` for its words.
const { appendFileSync } = require('node:fs');

const file = `${process.env.HELIX_OUTPUT_DIR}/results.jsonl`;
const messageLimit = 16_000;
const SKIPPED = new Set(['pending', 'skipped', 'todo', 'disabled']);

const tell = (lines) => appendFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));

class HelixReporter {
  onRunStart(results) {
    tell([{ is: 'begin', runs: results.numTotalTestSuites }]);
  }

  onRunComplete() {
    tell([{ is: 'end' }]);
  }

  onTestStart() {
    this.startedAtMs = performance.now();
  }

  onTestResult(test, result) {
    const unit = result.testFilePath ?? test.path;
    const project = test.context?.config?.displayName?.name;
    const lines = (result.testResults ?? []).map((one) => ({
      is: 'case',
      unit,
      name: [...(project ? [`[${project}]`] : []), ...(one.ancestorTitles ?? []), one.title],
      outcome: one.status === 'passed' ? 'passed' : SKIPPED.has(one.status) ? 'skipped' : 'failed',
      durationMs: one.duration ?? 0,
      message: one.failureMessages?.length ? one.failureMessages.join('\n\n').slice(0, messageLimit) : undefined,
    }));
    const failed = lines.some((line) => line.outcome === 'failed');
    if (result.testExecError || (result.failureMessage && !failed)) {
      const { testExecError: error } = result;
      const message = result.failureMessage || error?.stack || error?.message || 'failed outside its tests';
      lines.push({ is: 'error', unit, message: String(message).slice(0, messageLimit) });
    }
    lines.push({ is: 'unit', unit, durationMs: performance.now() - (this.startedAtMs ?? performance.now()) });
    tell(lines);
  }
}

module.exports = HelixReporter;
