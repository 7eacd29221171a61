import type { TestCase, UnitResult } from '@helixcode/protocol/test/test-result';
import { z } from 'zod';
import { findLocation } from './find-location.ts';
import { boundMessage, describeEnd, parseJson, readRoot, readText, relativeToRoot } from './run-output.ts';
import type { RunOutput } from './test-runner.ts';

const durationMs = z.number().nonnegative().catch(0);

/**
 * A line of `results.jsonl`, which our reporters (folder `reporters/`) append to while the tests run, so that a run
 * that is cut short keeps what it had. `unit` is an absolute path, or relative to the root.
 *
 * - `case`: a test ended
 * - `error`: something failed outside any test, in a unit or (without one) somewhere in the run
 * - `unit`: a unit is over, and all its cases have been told
 * - `begin`, `end`: of a runner that can run one file several times (in several projects), with how many runs there
 *   will be; while they are under way, the file may come again
 */
const resultLine = z.discriminatedUnion('is', [
  z.object({
    is: z.literal('case'),
    unit: z.string(),
    name: z.array(z.string()),
    outcome: z.enum(['passed', 'failed', 'skipped']),
    durationMs,
    message: z.string().optional(),
  }),
  z.object({ is: z.literal('error'), unit: z.string().optional(), message: z.string() }),
  z.object({ is: z.literal('unit'), unit: z.string(), durationMs }),
  z.object({ is: z.literal('begin'), runs: z.number().int() }),
  z.object({ is: z.literal('end') }),
]);

interface Gathered {
  cases: TestCase[];
  errors: string[];
  over: boolean;
  durationMs: number;
}

/**
 * The results of `units` from the lines of our reporters. Lines that cannot be read are passed over: the unit they
 * belonged to then is not over, or has fewer cases, and an exit status that no reported failure explains turns all
 * units of the run into errors.
 */
export async function parseResultLines(output: RunOutput, units: readonly string[]): Promise<UnitResult[]> {
  const root = await readRoot(output);
  const gathered = new Map<string, Gathered>(units.map((unit) => [unit, { cases: [], errors: [], over: false, durationMs: 0 }]));
  const errorsOfRun: string[] = [];
  let runsToCome = 0;
  for (const text of (await readText(output, 'file:results.jsonl')).split('\n')) {
    const line = resultLine.safeParse(parseJson(text)).data;
    if (!line) continue;
    if (line.is === 'begin' || line.is === 'end') {
      runsToCome = line.is === 'begin' && line.runs > units.length ? line.runs : 0;
      continue;
    }
    if (line.is === 'unit') runsToCome -= 1;
    const unit = line.unit === undefined ? undefined : relativeToRoot(line.unit, root);
    const of = unit === undefined ? undefined : gathered.get(unit);
    if (line.is === 'error' && line.unit === undefined) errorsOfRun.push(boundMessage(line.message));
    if (unit === undefined || !of) continue;
    if (line.is === 'error') of.errors.push(boundMessage(line.message));
    else if (line.is === 'unit') {
      of.over = true;
      of.durationMs += line.durationMs;
    } else of.cases.push(toCase(unit, line, root));
  }
  // Cut short, with runs to come that may be another one of any file.
  if (runsToCome > 0) for (const of of gathered.values()) of.over = false;
  return settleUnits(output, units, gathered, errorsOfRun, root);
}

function toCase(
  unit: string,
  line: { name: string[]; outcome: TestCase['outcome']; durationMs: number; message?: string | undefined },
  root: string | undefined,
): TestCase {
  const message = line.outcome === 'failed' ? boundMessage(line.message ?? 'failed without a message') : undefined;
  return {
    unit,
    name: line.name.join(' > '),
    outcome: line.outcome,
    durationMs: line.durationMs,
    ...(message !== undefined && { message, ...findLocation(message, { root, unit }) }),
  };
}

async function settleUnits(
  output: RunOutput,
  units: readonly string[],
  gathered: ReadonlyMap<string, Gathered>,
  errorsOfRun: readonly string[],
  root: string | undefined,
): Promise<UnitResult[]> {
  const end = output.exitCode === 0 ? undefined : await describeEnd(output);
  const all = units.map((unit): UnitResult => {
    const { cases, errors, over, durationMs } = gathered.get(unit) ?? { cases: [], errors: [], over: false, durationMs: 0 };
    if (errors.length > 0) {
      const message = boundMessage(errors.join('\n\n'));
      return { unit, outcome: 'error', durationMs, cases, message, ...findLocation(message, { root, unit }) };
    }
    if (!over) {
      const fact = cases.length > 0 ? `it stopped after ${cases.length} of its tests` : 'it gave no result';
      return { unit, outcome: 'missing', durationMs, cases, message: `${fact}; ${end ?? 'the command ended with exit status 0'}` };
    }
    return { unit, outcome: cases.some((one) => one.outcome === 'failed') ? 'failed' : 'passed', durationMs, cases };
  });
  const unexplained = errorsOfRun.length > 0 ? errorsOfRun.join('\n\n') : all.every((one) => one.outcome === 'passed') ? end : undefined;
  return unexplained === undefined ? all : all.map((one) => failOutsideTests(one, unexplained));
}

/** `result` as an error, unless it is no success anyway. */
export function failOutsideTests(result: UnitResult, message: string): UnitResult {
  if (result.outcome === 'error' || result.outcome === 'missing') return result;
  return { ...result, outcome: 'error', message: boundMessage(message) };
}
