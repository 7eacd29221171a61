import { boundMessage, readText } from './run-output.ts';
import type { RunOutput } from './test-runner.ts';

/**
 * A shell function `each_unit NUMBER COMMAND…` for runners that are started once per unit. It leaves what the command
 * said in `NUMBER.log` (beside the job's own stderr, where it appears at once) and its exit status in `NUMBER.rc`.
 */
export const EACH_UNIT = [
  'each_unit() {',
  '  n=$1; shift',
  '  { "$@"; echo $? >"$HELIX_OUTPUT_DIR/$n.rc"; } 2>&1 | tee "$HELIX_OUTPUT_DIR/$n.log" >&2',
  '  [ "$(cat "$HELIX_OUTPUT_DIR/$n.rc" 2>/dev/null)" = 0 ] || failed=1',
  '}',
  'failed=0',
].join('\n');

/** The exit status of a command with `EACH_UNIT`: 1 when any unit's was not 0. */
export const EXIT_FAILED = 'exit $failed';

/** The exit status of the unit with this number, `undefined` where the run did not come to its end. */
export async function readStatus(output: RunOutput, number: number): Promise<number | undefined> {
  const text = (await readText(output, `file:${number}.rc`)).trim();
  return /^\d{1,3}$/.test(text) ? Number(text) : undefined;
}

/** What the unit's command said last. */
export async function readUnitLog(output: RunOutput, number: number, lastBytes = 4_000): Promise<string> {
  return boundMessage(await readText(output, `file:${number}.log`, lastBytes));
}
