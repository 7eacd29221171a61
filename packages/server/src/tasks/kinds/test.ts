import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { TestSpec } from '@helixcode/protocol/task/task-spec';
import type { TestCase, UnitResult } from '@helixcode/protocol/test/test-result';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { LeafResult } from '../settle-attempts.ts';
import { setupKey } from '../setup-key.ts';
import type { TaskRow } from '../task-row.ts';
import { findRunner, runnerNamed, selectUnits } from '../testing/find-runner.ts';
import { writeJunit } from '../testing/junit-xml.ts';
import { mergeResults, type ShardRun } from '../testing/merge-results.ts';
import { planShards } from '../testing/plan-shards.ts';
import { findShardCosts, type ShardTime } from '../testing/shard-costs.ts';
import type { RunOutput, TestRunner, TestRunnerName } from '../testing/test-runner.ts';
import type { Advance, ChildPlan, TaskKind, View } from './kind.ts';

interface Memo {
  runner?: TestRunnerName;
  setup?: { key: string; command: string; timeoutMs: number } | null;
  phase?: 'list' | 'run';
  units?: number;
  slots?: number;
  /** Set by a retry of the whole task: its failed units are to be run afresh. */
  retried?: boolean;
}

/** What a leaf of a test task was for: kept in its `spec`. */
interface ShardSpec {
  role: 'list' | 'shard' | 'single' | 'retry' | 'again';
  units: string[];
}

/** What a leaf gave, kept as a document of it. */
interface ShardDocument {
  role: ShardSpec['role'];
  results: UnitResult[];
  lcov?: string;
}

/** What is kept in a leaf's row once its results are read. */
interface ShardSummary extends LeafResult {
  tests: number;
  failed: number;
  /** The first of its failed tests, so that they are seen while the rest still runs. */
  failures: Pick<TestCase, 'unit' | 'name' | 'message' | 'file' | 'line'>[];
  /** Sum of the units' own times. */
  unitsMs: number;
}

type TestView = View<TestSpec, Memo>;

const FAILURES_SHOWN_EARLY = 20;
/** Stands for the cost of starting a shard, among the timings of units. */
const FIXED_COST_UNIT = '';
const FIXED_COST_GUESS_MS = 500;
/** What an unmeasured unit is given before its shard is taken to hang. */
const UNKNOWN_UNIT_MS = 10_000;
/** A copy is raced only against a shard whose length was known beforehand. */
const COPY_FROM_EXPECTED_MS = 2_000;

/** A test suite, divided over the pool by measured times, put together into one result. */
export const testKind: TaskKind<TestSpec, Memo> = {
  kind: 'test',
  describe: (spec) => `test${spec.patterns.length > 0 ? ` ${spec.patterns.join(' ')}` : ''}`,
  requires: () => ['git'],
  leafJob: () => undefined,

  async advance(view) {
    const { memo } = view;
    if (memo.runner === undefined) return begin(view);
    const runner = runnerNamed(memo.runner);
    if (memo.phase === 'list') return takeListing(view, runner);
    if (memo.retried) return runFailedAgain(view, runner);
    return takeResults(view, runner);
  },
};

async function begin(view: TestView): Promise<Advance> {
  const { spec } = view;
  const project = projectOf(view);
  const files = await view.projectFiles(project, spec.commit);
  const runner = spec.runner ? runnerNamed(spec.runner) : await findRunner(files);
  const found = spec.setup === undefined ? await runner.setup(files) : (spec.setup ?? undefined);
  const setup = found && { key: await setupKey(found, files), command: found.command, timeoutMs: found.timeoutMs };
  const memo: Memo = { runner: runner.name, setup: setup ?? null };
  const listing = await runner.list(files, spec);
  if ('units' in listing) return divide(view, runner, memo, listing.units);
  return {
    add: [
      {
        key: 'list',
        name: 'list the tests',
        spec: { role: 'list', units: [] } satisfies ShardSpec,
        job: toJob(view, memo, listing.command, spec.unitTimeoutMs),
        requires: [...runner.requires],
        policy: { ...view.task.policy, acceptExit: 'any' },
      },
    ],
    memo: { ...memo, phase: 'list' },
    progress: { phase: 'listing tests', done: 0, total: 0 },
  };
}

async function takeListing(view: TestView, runner: TestRunner): Promise<Advance> {
  const list = (await view.children()).find((child) => child.key === 'list');
  if (!list || list.finished_at === null) return {};
  if (list.state !== 'completed') return { outcome: { state: 'failed', failure: failureOf(list) } };
  const files = await view.projectFiles(projectOf(view), view.spec.commit);
  const units = await runner.parseListing(outputOf(view, list), files);
  return divide(view, runner, view.memo, units);
}

/** Makes the shards: the units that match, grouped by their measured times. */
async function divide(view: TestView, runner: TestRunner, memo: Memo, all: string[]): Promise<Advance> {
  const { spec } = view;
  const units = selectUnits(all, spec.patterns);
  if (units.length === 0) {
    const message =
      all.length === 0
        ? `${runner.name} found no tests at ${spec.commit.slice(0, 12)}`
        : `none of the ${all.length} test files contains ${spec.patterns.join(' or ')} in its path`;
    return { outcome: { state: 'failed', failure: { code: 'test.none_found', message, next: 'helix config check' } } };
  }
  const timings = await view.timings.read(projectOf(view), runner.name);
  const files = await view.projectFiles(projectOf(view), spec.commit);
  const requires = [...new Set([...view.task.requires, ...runner.requires])];
  const slots = Math.max(1, Math.min(view.slotsFor(requires).slots, spec.maxSlots ?? Number.POSITIVE_INFINITY));
  const shards = planShards({
    units: units.map((unit) => ({ unit, expectedMs: timings.get(unit), sizeBytes: files.sizeBytes(unit) })),
    slots,
    fixedMs: timings.get(FIXED_COST_UNIT) ?? FIXED_COST_GUESS_MS,
  });
  const width = String(shards.length).length;
  const add = await Promise.all(
    shards.map((shard, index) =>
      planLeaf(
        view,
        runner,
        memo,
        timings,
        { role: 'shard', units: shard.units },
        {
          key: `shard-${index + 1}`,
          name: `shard ${String(index + 1).padStart(width)}/${shards.length} (${shard.units.length} ${shard.units.length === 1 ? 'file' : 'files'})`,
          // Estimated or measured: it keeps the plan's order, longest first.
          expectedMs: shard.expectedMs,
        },
      ),
    ),
  );
  return {
    add,
    memo: { ...memo, phase: 'run', units: units.length, slots },
    progress: { phase: 'running tests', done: 0, total: units.length },
  };
}

async function planLeaf(
  view: TestView,
  runner: TestRunner,
  memo: Memo,
  timings: Map<string, number>,
  shard: ShardSpec,
  names: { key: string; name: string; expectedMs?: number },
): Promise<ChildPlan> {
  const { spec, task } = view;
  const files = await view.projectFiles(projectOf(view), spec.commit);
  const known = shard.units.map((unit) => timings.get(unit));
  const expectedMs = known.reduce<number>((sum, ms) => sum + (ms ?? 0), 0);
  const isKnown = known.every((ms) => ms !== undefined);
  const patienceMs = known.reduce<number>(
    (sum, ms) => sum + (ms === undefined ? Math.min(UNKNOWN_UNIT_MS, spec.unitTimeoutMs) : ms * 3),
    0,
  );
  const command = await runner.runCommand(files, shard.units, spec);
  return {
    ...(isKnown && { expectedMs }),
    ...names,
    spec: shard,
    job: toJob(view, memo, command, Math.ceil(spec.unitTimeoutMs + (shard.units.length > 1 ? patienceMs : 0))),
    requires: [...runner.requires],
    // A retry holds up the end of the run: it goes before what is still queued.
    priorityBoost: shard.role === 'shard' ? 0 : 1,
    mayCopy: isKnown && expectedMs >= COPY_FROM_EXPECTED_MS,
    ...(spec.maxSlots !== undefined && { maxSlots: spec.maxSlots }),
    policy: { ...task.policy, maxAttempts: 1, acceptExit: 'any' },
  };
}

function toJob(view: TestView, memo: Memo, command: string, timeoutMs: number): JobSpec {
  const { spec, task } = view;
  return {
    command,
    env: { CI: 'true', ...spec.env, HELIX_RUN_ID: task.root_id },
    killGraceMs: 2_000,
    timeoutMs,
    outputLimitBytes: view.outputLimitBytes,
    workspace: { project: projectOf(view), commit: spec.commit, ...(memo.setup && { setup: memo.setup }) },
  };
}

/** Reads what has ended since the last look; failed units go round once more; at the end everything is put together. */
async function takeResults(view: TestView, runner: TestRunner): Promise<Advance> {
  const { memo, spec } = view;
  const leaves = (await view.children()).filter((child) => child.key !== 'list');
  const hopeless = leaves.find((leaf) => leaf.state === 'failed' && leaf.failure?.code === 'workspace.setup_failed');
  if (hopeless) return { outcome: { state: 'failed', failure: failureOf(hopeless) } };

  const keys = new Set(leaves.map((leaf) => leaf.key));
  const timings = await view.timings.read(projectOf(view), runner.name);
  const advance: Required<Pick<Advance, 'add' | 'results' | 'documents'>> = { add: [], results: [], documents: [] };
  for (const leaf of leaves) {
    if (leaf.finished_at === null || leaf.state === 'cancelled' || isRead(leaf)) continue;
    const shard = leaf.spec as ShardSpec;
    const document = await readShard(view, runner, leaf, shard);
    const cases = document.results.flatMap((result) => result.cases);
    const bad = document.results.filter((result) => result.outcome !== 'passed');
    advance.documents.push({ task: leaf.id, name: 'results', body: JSON.stringify(document) });
    advance.results.push({
      child: leaf.id,
      result: {
        ...(leaf.result as LeafResult | null),
        tests: cases.length,
        failures: cases
          .filter((one) => one.outcome === 'failed')
          .slice(0, FAILURES_SHOWN_EARLY)
          .map(({ unit, name, message, file, line }) => ({ unit, name, message, file, line })),
        unitsMs: document.results.reduce((sum, result) => sum + result.durationMs, 0),
        failed: cases.filter((one) => one.outcome === 'failed').length + bad.filter((result) => result.outcome !== 'failed').length,
      } as ShardSummary,
    });
    for (const plan of followUps(leaf, shard, bad, spec)) {
      if (!keys.has(plan.names.key)) advance.add.push(await planLeaf(view, runner, memo, timings, plan.shard, plan.names));
    }
  }
  const documents = [
    ...(await view.readChildDocuments('results')).map((row) => JSON.parse(row.body) as ShardDocument),
    ...advance.documents.map((row) => JSON.parse(row.body) as ShardDocument),
  ];
  const done = new Set(documents.flatMap((document) => document.results.map((result) => result.unit)));
  const progress = { phase: 'running tests', done: done.size, total: memo.units ?? done.size };
  const isUnderWay = leaves.some((leaf) => leaf.finished_at === null) || advance.add.length > 0;
  if (isUnderWay || advance.documents.length > 0) return { ...advance, progress, ...(!isUnderWay && { lookAgainMs: 0 }) };
  return { progress, ...(await conclude(view, runner, leaves)) };
}

function isRead(leaf: TaskRow): boolean {
  return leaf.result !== null && typeof leaf.result === 'object' && 'tests' in leaf.result;
}

/**
 * What must run once more: units that a shard lost (it hung, crashed or was cut) each alone, so that the culprit is
 * named and the others are not blamed; units that failed, together, to tell a flaky test from a broken one.
 */
function followUps(
  leaf: TaskRow,
  shard: ShardSpec,
  bad: UnitResult[],
  spec: TestSpec,
): { shard: ShardSpec; names: { key: string; name: string } }[] {
  if (shard.role === 'retry') return [];
  const lost = shard.units.length > 1 ? bad.filter((result) => result.outcome === 'missing') : [];
  const singles = lost.map((result) => ({
    shard: { role: 'single' as const, units: [result.unit] },
    names: { key: `${leaf.key}/${result.unit}`, name: `${result.unit} alone` },
  }));
  const hung = leaf.failure?.code === 'job.timed_out';
  const again = bad.filter((result) => !lost.includes(result) && !(hung && result.outcome === 'missing'));
  if (!spec.retryFailures || again.length === 0) return singles;
  return [
    ...singles,
    {
      shard: { role: 'retry', units: again.map((result) => result.unit) },
      names: { key: `${leaf.key}/retry`, name: `retry ${again.length === 1 ? again[0]?.unit : `${again.length} failed files`}` },
    },
  ];
}

async function readShard(view: TestView, runner: TestRunner, leaf: TaskRow, shard: ShardSpec): Promise<ShardDocument> {
  const { results, lcov } = await runner.parseResults(await lastOutputOf(view, leaf), shard.units);
  if (leaf.state === 'completed') return { role: shard.role, results, ...(lcov !== undefined && { lcov }) };
  // What was over before the command was stopped, or lost, stays; coverage of a part is none.
  const failure = leafFailure(leaf, shard, view.spec);
  const isHung = leaf.failure?.code === 'job.timed_out';
  return { role: shard.role, results: results.map((result) => ({ ...result, ...sayWhyCut(failure, isHung, result) })) };
}

function sayWhyCut(failure: string, isHung: boolean, { outcome, cases, message }: UnitResult): Partial<UnitResult> {
  // A runner that is told to stop calls the unit it was at failed: no more is known of that one than that it was cut.
  if (isHung && outcome === 'error') return { outcome: 'missing', message: failure };
  const last = cases.at(-1);
  if (outcome === 'missing') return { message: last ? `${failure}, after "${last.name}", its test number ${cases.length}` : failure };
  return outcome === 'error' ? { message: [failure, message].join('\n') } : {};
}

function leafFailure(leaf: TaskRow, shard: ShardSpec, spec: TestSpec): string {
  if (leaf.failure?.code === 'job.timed_out' && shard.units.length === 1)
    return `${shard.units[0]} did not finish within ${spec.unitTimeoutMs / 1000} s and was stopped`;
  return leaf.failure?.message ?? 'no result came';
}

async function runFailedAgain(view: TestView, runner: TestRunner): Promise<Advance> {
  const { task } = view;
  const { retried: _, ...memo } = view.memo;
  const documents = (await view.readChildDocuments('results')).map((row) => JSON.parse(row.body) as ShardDocument);
  const newest = new Map(documents.flatMap((document) => document.results.map((result) => [result.unit, result])));
  const units = [...newest.values()].filter((result) => result.outcome !== 'passed').map((result) => result.unit);
  if (units.length === 0) return { memo, lookAgainMs: 0 };
  const timings = await view.timings.read(projectOf(view), runner.name);
  const plan = await planLeaf(
    view,
    runner,
    memo,
    timings,
    { role: 'again', units },
    {
      key: `again-${task.attempts}`,
      name: `run ${units.length} failed ${units.length === 1 ? 'file' : 'files'} again`,
    },
  );
  return { add: [plan], memo };
}

async function conclude(view: TestView, runner: TestRunner, leaves: TaskRow[]): Promise<Advance> {
  const { task, memo } = view;
  const documents = new Map((await view.readChildDocuments('results')).map((row) => [row.task_id, JSON.parse(row.body) as ShardDocument]));
  const ended = (await view.treeAttempts()).filter((attempt) => attempt.finished_at !== null);
  const runs: ShardRun[] = [];
  for (const leaf of leaves) {
    const document = documents.get(leaf.id);
    const attempt = ended.findLast((candidate) => candidate.task_id === leaf.id);
    if (!document) continue;
    // A later round of the whole task replaces what its units gave before.
    if (document.role === 'again') dropUnits(runs, new Set(document.results.map((result) => result.unit)));
    const endedAtMs = (attempt?.finished_at ?? leaf.finished_at ?? task.created_at).getTime();
    runs.push({
      round: document.role === 'retry' ? 'retry' : 'first',
      worker: attempt ? view.nameOfWorker(attempt.worker_id) : '',
      startedAtMs: attempt?.started_at?.getTime() ?? endedAtMs,
      endedAtMs,
      results: document.results,
      lcov: document.lcov,
    });
  }
  const units = leaves.flatMap((leaf) => ((leaf.spec as ShardSpec).role === 'shard' ? (leaf.spec as ShardSpec).units : [])).sort();
  const wallMs = Date.now() - (task.started_at ?? task.created_at).getTime();
  const {
    report,
    units: merged,
    lcov,
  } = mergeResults({ runner: runner.name, units, runs, slots: Math.max(memo.slots ?? 1, mostAtOnce(runs)), wallMs });
  await keepTimings(view, runner, leaves, runs);

  const documentsOut = [
    { task: task.id, name: 'junit', body: writeJunit(runner.name, merged) },
    ...(lcov === '' ? [] : [{ task: task.id, name: 'coverage', body: lcov }]),
  ];
  const { failed, errors, tests } = report.totals;
  if (failed + errors === 0) return { documents: documentsOut, outcome: { state: 'completed', result: report } };
  const facts = [
    ...(failed > 0 ? [`${failed} of ${tests} tests failed`] : []),
    ...(errors > 0 ? [`${errors} ${errors === 1 ? 'file' : 'files'} could not be run to the end`] : []),
  ];
  const failure: ErrorFact = { code: 'tests.failed', message: facts.join(', and '), next: `helix tasks show ${task.id}` };
  return { documents: documentsOut, outcome: { state: 'failed', failure, result: report } };
}

/** Workers may have joined since the suite was divided: as many slots took part as ran at the same time. */
function mostAtOnce(runs: ShardRun[]): number {
  return Math.max(
    0,
    ...runs.map(({ startedAtMs }) => runs.filter((run) => run.startedAtMs <= startedAtMs && startedAtMs < run.endedAtMs).length),
  );
}

function dropUnits(runs: ShardRun[], units: ReadonlySet<string>): void {
  for (const [index, run] of runs.entries()) runs[index] = { ...run, results: run.results.filter((result) => !units.has(result.unit)) };
}

async function keepTimings(view: TestView, runner: TestRunner, leaves: TaskRow[], runs: ShardRun[]): Promise<void> {
  const costs = findShardCosts(leaves.flatMap(timeOf));
  const measured = new Map<string, number>();
  for (const run of runs)
    for (const { unit, outcome, durationMs } of run.results)
      if (run.round === 'first' && (outcome === 'passed' || outcome === 'failed')) measured.set(unit, durationMs + (costs?.perUnitMs ?? 0));
  if (costs) measured.set(FIXED_COST_UNIT, costs.fixedMs);
  if (measured.size > 0) await view.timings.write(projectOf(view), runner.name, measured);
}

/** Of a shard that came to its end. */
function timeOf(leaf: TaskRow): ShardTime[] {
  const result = leaf.result as Partial<ShardSummary> | null;
  if (leaf.state !== 'completed' || result?.wallMs == null || result.unitsMs === undefined) return [];
  return [{ units: (leaf.spec as ShardSpec).units.length, unitsMs: result.unitsMs, wallMs: result.wallMs }];
}

function outputOf(view: TestView, leaf: TaskRow): RunOutput {
  const result = leaf.result as LeafResult;
  return {
    exitCode: result.exitCode ?? -1,
    read: (stream, lastBytes) => view.readStream(result.attempt, stream, lastBytes),
  };
}

/** What there is of the newest attempt's output, also where the leaf failed with its outcome unknown. */
async function lastOutputOf(view: TestView, leaf: TaskRow): Promise<RunOutput> {
  if (leaf.result !== null) return outputOf(view, leaf);
  const attempt = (await view.attempts(leaf.id)).at(-1);
  return { exitCode: -1, read: async (stream, lastBytes) => attempt && view.readStream(attempt.id, stream, lastBytes) };
}

function failureOf(leaf: TaskRow): ErrorFact {
  return leaf.failure ?? { code: 'task.subtask_failed', message: `${leaf.name} was ${leaf.state}` };
}

function projectOf(view: TestView): ProjectId {
  if (!view.task.project_id) throw new CodedError('project.not_found', `${view.task.name} names no project`);
  return view.task.project_id;
}
