// Appends a line of JSON for every test of `node --test` to `results.jsonl`; see `result-lines.ts` for its words.
// Passes on what the tests print. `units` in the output folder
// holds the files of the run, each ended by NUL.
//
// A test's own `file` is where it was written, which may be a helper. With one file at a time, the file that runs is
// the one dequeued last.
import { appendFileSync, readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { inspect } from 'node:util';

const folder = process.env.HELIX_OUTPUT_DIR;
const units = new Set(
  readFileSync(`${folder}/units`, 'utf8')
    .split('\0')
    .filter(Boolean)
    .map((unit) => resolve(unit)),
);
const messageLimit = 16_000;

const textOf = (error) => {
  const cause = error?.cause ?? error;
  const text =
    cause instanceof Error || typeof cause?.stack === 'string' ? String(cause.stack) : typeof cause === 'string' ? cause : inspect(cause);
  return text.slice(0, messageLimit);
};
const isSet = (mark) => mark !== undefined && mark !== false;

export default async function* helixReporter(source) {
  let unit;
  let sinceMs = 0;
  let said = '';
  let names = [];
  const tell = (line) => appendFileSync(`${folder}/results.jsonl`, `${JSON.stringify({ unit, ...line })}\n`);
  const endUnit = () => unit !== undefined && tell({ is: 'unit', durationMs: performance.now() - sinceMs });

  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') {
      if (type === 'test:stderr') said = `${said}${data.message}`.slice(-messageLimit);
      yield data.message;
    }
    // How an error after the end of its test is told.
    if (type === 'test:diagnostic' && /^Error: /.test(data.message)) said += `${data.message}\n`;
    const path = data?.nesting === 0 && typeof data.name === 'string' ? resolve(data.name) : undefined;
    if (type === 'test:dequeue' && units.has(path) && data.entryFile === undefined) {
      endUnit();
      [unit, sinceMs, said, names] = [path, performance.now(), '', []];
    } else if (type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    } else if ((type === 'test:pass' || type === 'test:fail') && unit !== undefined) {
      const name = path === unit ? [relative('', path)] : [...names.slice(0, data.nesting), data.name];
      const outcome = isSet(data.skip) || isSet(data.todo) ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
      const error = data.details?.error;
      const message = outcome === 'failed' ? textOf(error) : undefined;
      if (outcome === 'failed' && path === unit) {
        // The file's process ended badly; why is on its stderr.
        tell({ is: 'error', message: said.trim() || message });
      } else if (data.details?.type !== 'suite') {
        tell({ is: 'case', name, outcome, durationMs: data.details?.duration_ms ?? 0, message });
      } else if (outcome === 'failed' && error?.failureType !== 'subtestsFailed') {
        tell({ is: 'error', message: `${name.join(' > ')}\n${message}` });
      }
    }
  }
  endUnit();
}
