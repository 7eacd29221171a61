// Appends a line of JSON for every test of a vitest run to `results.jsonl`; see `result-lines.ts` for its words.
// Works with the reporter calls of vitest 1 to 5: `onPathsCollected` and `onFinished` up to 3, `onTestRunStart`,
// `onTestModuleEnd` and `onTestRunEnd` from 3 on.
import { appendFileSync } from 'node:fs';
import { resolve } from 'node:path';

const file = `${process.env.HELIX_OUTPUT_DIR}/results.jsonl`;
const messageLimit = 16_000;

const textOf = (error) => {
  const head = `${error?.name ?? 'Error'}: ${error?.message ?? String(error)}`;
  const stack = String(error?.stack ?? error?.stackStr ?? '');
  const whole = stack.includes(error?.message ?? '\0') ? stack : `${head}\n${stack}`;
  const cause = error?.cause ? `\nCaused by: ${textOf(error.cause)}` : '';
  const diff = error?.diff ? `\n${error.diff}` : '';
  return `${whole}${diff}${cause}`.slice(0, messageLimit);
};

const messageOf = (errors) => (errors ?? []).map(textOf).join('\n\n');

function linesOfTasks(unit, tasks, names, lines) {
  for (const task of tasks ?? []) {
    const path = [...names, task.name];
    const state = task.result?.state;
    if (task.type === 'suite') {
      // A suite fails by itself when its hooks do.
      if (state === 'fail' && task.result.errors?.length)
        lines.push({ is: 'error', unit, message: `${path.join(' > ')}\n${messageOf(task.result.errors)}` });
      linesOfTasks(unit, task.tasks, path, lines);
    } else {
      const unasked = task.mode === 'skip' || task.mode === 'todo' || state === 'skip' || state === 'todo' || state === undefined;
      const outcome = state === 'pass' ? 'passed' : state !== 'fail' && unasked ? 'skipped' : 'failed';
      const message = outcome === 'failed' ? messageOf(task.result?.errors) || `ended in state ${state}` : undefined;
      lines.push({ is: 'case', unit, name: path, outcome, durationMs: task.result?.duration ?? 0, message });
    }
  }
}

export default class HelixReporter {
  root = process.cwd();
  told = new Set();

  onInit(vitest) {
    this.root = vitest.config?.root ?? this.root;
    // They are for the whole suite; those for globs have no option that takes them back.
    if (vitest.config?.coverage) delete vitest.config.coverage.thresholds;
  }

  begin(runs) {
    if (!this.begun) appendFileSync(file, `${JSON.stringify({ is: 'begin', runs })}\n`);
    this.begun = true;
  }

  onPathsCollected(paths) {
    this.begin(paths?.length ?? 0);
  }

  onTestRunStart(specifications) {
    this.begin(specifications.length);
  }

  tellFile(task) {
    if (this.told.has(task)) return;
    this.told.add(task);
    const unit = task.filepath;
    const names = task.projectName ? [`[${task.projectName}]`] : [];
    const lines = [];
    if (task.result?.errors?.length) lines.push({ is: 'error', unit, message: messageOf(task.result.errors) });
    linesOfTasks(unit, task.tasks, names, lines);
    const parts = [task.environmentLoad, task.prepareDuration, task.collectDuration, task.setupDuration, task.result?.duration];
    lines.push({ is: 'unit', unit, durationMs: parts.reduce((sum, part) => sum + (part ?? 0), 0) });
    appendFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  tellErrors(errors) {
    for (const error of errors ?? []) {
      const path = error?.VITEST_TEST_PATH;
      appendFileSync(
        file,
        `${JSON.stringify({ is: 'error', unit: path ? resolve(this.root, path) : undefined, message: textOf(error) })}\n`,
      );
    }
  }

  onTestModuleEnd(testModule) {
    if (testModule.task) this.tellFile(testModule.task);
  }

  onFinished(files, errors) {
    for (const task of files ?? []) this.tellFile(task);
    if (this.ended) return;
    this.ended = true;
    this.tellErrors(errors);
    appendFileSync(file, `${JSON.stringify({ is: 'end' })}\n`);
  }

  onTestRunEnd(testModules, errors) {
    this.onFinished(testModules.map((testModule) => testModule.task).filter(Boolean), errors);
  }
}
