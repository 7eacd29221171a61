import { shellWord } from './shell-word.ts';

/** What every job of the load does: it says begin, counts aloud on both streams, and says how it is going to end. */
export interface CountingJob {
  /** File outside of every checkout to which each attempt appends `<attempt> begin` and `<attempt> end <status>`. */
  effects: string;
  /** How far it counts; a shell expression, since the shards of a suite know it only when they run. */
  lines: number | string;
  exitCode: number | string;
  /** Keeps what it has counted to in the file `counted` of its checkout, and goes on from what it finds there. */
  isResumable?: boolean;
  /** Shell commands done after the counting, whose failure is the job's. */
  work?: string;
}

/** Exit status of a job that could not write, as on a full disk. */
export const CANNOT_WRITE = 28;
/** Lines between two pauses, and the pause: a load that waits more than it works. */
const LINES_AT_ONCE = 5;
const PAUSE_SECONDS = 0.2;

/**
 * The program of such a job.
 *
 * It links the file in which its supervisor records the exit status to `receipts/` beside the worker's home: the worker
 * deletes its own name of it together with the job, and what the supervisor wrote stays to be compared with the books.
 */
export function countingCommand({ effects, lines, exitCode, isResumable = false, work }: CountingJob): string {
  const log = shellWord(effects);
  return [
    `echo "$HELIX_JOB begin" >>${log}`,
    // shellcheck would have it otherwise: the folder of the job is above that of its outputs.
    'job="${HELIX_OUTPUT_DIR%/*}"; home="${job%%/run/*}"; ln "$job/rc" "${home%/*}/receipts/$HELIX_JOB" 2>/dev/null',
    `say() { echo "$HELIX_JOB $1" || exit ${CANNOT_WRITE}; echo "$HELIX_JOB $1" >&2 || exit ${CANNOT_WRITE}; }`,
    `n=${isResumable ? '$(cat counted 2>/dev/null || echo 0)' : '0'}; to=${lines}`,
    'say "from $n to $to"',
    'while [ $n -lt $to ]; do n=$((n+1)); say $n',
    `if [ $((n % ${LINES_AT_ONCE})) = 0 ]; then ${isResumable ? 'echo $n >counted.new && mv counted.new counted; ' : ''}sleep ${PAUSE_SECONDS}; fi; done`,
    ...(work === undefined ? [] : [`{ ${work}\n} || exit ${CANNOT_WRITE}`]),
    `status=${exitCode}; echo "$HELIX_JOB end $status" >>${log}; exit $status`,
  ].join('\n');
}

/**
 * Compares a stored stream with what its attempt must have written.
 *
 * @param isWhole whether the attempt came to its end; of any other the stream may stop anywhere
 * @param lines how far it had to count, where that is known
 * @returns what is wrong with it; `undefined` when it is right to the byte
 */
export function wrongWithStream(text: string, attempt: string, isWhole: boolean, lines: number | undefined): string | undefined {
  const [first, from, to] = new RegExp(`^${attempt} from (\\d+) to (\\d+)\n`).exec(text) ?? [];
  if (first === undefined) {
    const isBeginning = `${attempt} from `.startsWith(text) || new RegExp(`^${attempt} from \\d+( (t(o( \\d*)?)?)?)?$`).test(text);
    return !isWhole && isBeginning ? undefined : `does not begin as it must: ${JSON.stringify(text.slice(0, 80))}`;
  }
  if (lines !== undefined && Number(to) !== lines) return `counts to ${to} and not to ${lines}`;
  const rest = Array.from({ length: Math.max(0, Number(to) - Number(from)) }, (_, index) => `${attempt} ${Number(from) + index + 1}\n`);
  const expected = first + rest.join('');
  // A shell tells on stderr of a command of its that was stopped before it was stopped itself.
  const said = isWhole ? text : text.replace(/(Terminated|Killed)\n$/, '');
  if (isWhole ? said === expected : expected.startsWith(said)) return undefined;
  let at = 0;
  while (at < said.length && said[at] === expected[at]) at++;
  const [found, meant] = [said, expected].map((one) => JSON.stringify(one.slice(at, at + 60)));
  return `differs at byte ${at} of ${expected.length}: ${found} in place of ${meant}`;
}

/** The checkpoint's state the attempt went on from, as its first line tells. */
export function beganAt(text: string): number | undefined {
  const from = /^\S+ from (\d+) to /.exec(text)?.[1];
  return from === undefined ? undefined : Number(from);
}
