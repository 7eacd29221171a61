import { readFileSync } from 'node:fs';
import { quoteWord } from './shell-words.ts';

const END = 'HELIX_END_OF_FILE';

/** A shell command that puts a file of `reporters/` into `$HELIX_OUTPUT_DIR`: the worker has none of our files. */
export function placeReporter(name: string): string {
  const text = readFileSync(new URL(`./reporters/${name}`, import.meta.url), 'utf8');
  return `cat >"$HELIX_OUTPUT_DIR/${name}" <<'${END}'\n${text.endsWith('\n') ? text : `${text}\n`}${END}`;
}

/** A shell command that writes the units to `$HELIX_OUTPUT_DIR/units`, each ended by NUL. */
export function placeUnits(units: readonly string[]): string {
  return `printf '%s\\0' ${units.map(quoteWord).join(' ')} >"$HELIX_OUTPUT_DIR/units"`;
}

/** A shell command that moves `lcov.info` of a coverage folder to where `parseResults` looks, and drops the rest. */
export function collectLcov(folder: string): string {
  return `[ -f ${folder}/lcov.info ] && mv ${folder}/lcov.info "$HELIX_OUTPUT_DIR/lcov.info"; rm -rf ${folder}`;
}

/** The same for a command whose exit status is the answer: keeps the status of `command`. */
export function runThen(command: string, after: readonly string[]): string[] {
  return after.length === 0 ? [`exec ${command}`] : [command, 'status=$?', ...after, 'exit $status'];
}
