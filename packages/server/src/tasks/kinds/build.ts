import { createHash } from 'node:crypto';
import { matchesGlob } from 'node:path';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { BuildSpec } from '@helixcode/protocol/task/task-spec';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { LeafResult } from '../settle-attempts.ts';
import { setupKey } from '../setup-key.ts';
import type { TaskRow } from '../task-row.ts';
import type { ProjectFiles } from '../testing/test-runner.ts';
import type { Advance, ChildPlan, TaskKind, View } from './kind.ts';

type Target = BuildSpec['targets'][number];

/** What a built target is known by: the archive of its outputs, and whether it was built now or found. */
interface TargetResult {
  blob: string;
  cached: boolean;
  wallMs: number | null;
}

interface Memo {
  /** Hash of what decides each target's outcome, apart from the targets it needs. */
  inputs?: Record<string, string>;
  setupKey?: string;
}

/** Labels that name a platform: a build for one must not be answered by the outputs of another. */
const PLATFORM_LABELS = new Set(['linux', 'darwin', 'x64', 'arm64', 'glibc', 'musl']);

/** A build: targets that depend on each other, each one leaf, each found in the cache when its inputs are unchanged. */
export const buildKind: TaskKind<BuildSpec, Memo> = {
  kind: 'build',

  describe: (spec) => `build ${spec.targets.map((target) => target.name).join(', ')}`,

  requires: () => ['git', 'tar'],

  leafJob: () => undefined,

  async advance(view) {
    const { spec, task } = view;
    refuseBadGraph(spec.targets);
    const children = await view.children();
    if (children.length === 0) return plan(view);

    const byName = new Map(children.map((child) => [child.key, child]));
    const built = new Map<string, string>();
    for (const child of children) if (child.state === 'completed' && child.key !== null) built.set(child.key, blobOf(child));

    const advance: Required<Pick<Advance, 'unblock' | 'settle' | 'results'>> = { unblock: [], settle: [], results: [] };
    for (const target of spec.targets) {
      const child = byName.get(target.name);
      if (!child) continue;
      if (child.state === 'completed') await keep(view, target, child, built, advance);
      if (child.state === 'blocked') await release(view, target, child, byName, built, advance);
    }
    const settled = children.filter((child) => child.finished_at !== null).length + advance.settle.length;
    const progress = { phase: 'building', done: settled, total: children.length };
    if (settled < children.length || advance.settle.length > 0 || advance.results.length > 0)
      return { ...advance, progress, lookAgainMs: advance.settle.length + advance.results.length > 0 ? 0 : 60_000 };
    return { progress, outcome: outcomeOf(task, children) };
  },
};

async function plan(view: View<BuildSpec, Memo>): Promise<Advance> {
  const { spec, task } = view;
  if (!task.project_id) throw new CodedError('project.not_found', `${task.name} names no project`);
  const files = await view.projectFiles(task.project_id, spec.commit);
  const key = spec.setup && (await setupKey(spec.setup, files));
  const inputs: Record<string, string> = {};
  for (const target of spec.targets) inputs[target.name] = await hashInputs(target, files, [...task.requires, ...target.requires], key);
  const children: ChildPlan[] = spec.targets.map((target) => ({
    key: target.name,
    name: target.name,
    spec: { command: target.command, needs: target.needs },
    needs: target.needs,
    requires: target.requires,
    policy: { ...task.policy, acceptExit: 'zero' },
  }));
  return {
    add: children,
    memo: { inputs, ...(key !== undefined && { setupKey: key }) },
    progress: { phase: 'building', done: 0, total: children.length },
    lookAgainMs: 0,
  };
}

/** Lets a blocked target go once all it needs is built: from the cache if it is there, else as a job. */
async function release(
  view: View<BuildSpec, Memo>,
  target: Target,
  child: TaskRow,
  byName: Map<string | null, TaskRow>,
  built: Map<string, string>,
  advance: Required<Pick<Advance, 'unblock' | 'settle'>>,
): Promise<void> {
  const broken = target.needs.find((need) => ['failed', 'cancelled'].includes(byName.get(need)?.state ?? ''));
  if (broken !== undefined) {
    const failure: ErrorFact = {
      code: 'task.subtask_failed',
      message: `${target.name} was not built: ${broken}, which it needs, is ${byName.get(broken)?.state}`,
    };
    advance.settle.push({ child: child.id, state: 'cancelled', failure });
    return;
  }
  if (!target.needs.every((need) => built.has(need))) return;
  const found = await view.buildCache.find(cacheKey(view, target, built));
  if (found !== undefined) {
    const result: TargetResult = { blob: found, cached: true, wallMs: null };
    advance.settle.push({ child: child.id, state: 'completed', result });
    return;
  }
  const inputs = needsOf(target, view.spec.targets)
    .map((need) => built.get(need))
    .filter((blob) => blob !== undefined);
  advance.unblock.push({ child: child.id, job: toJob(view, target, inputs) });
}

/** Keeps what a fresh build left, once. */
async function keep(
  view: View<BuildSpec, Memo>,
  target: Target,
  child: TaskRow,
  built: Map<string, string>,
  advance: Required<Pick<Advance, 'results'>>,
): Promise<void> {
  const result = child.result as LeafResult | TargetResult;
  if ('cached' in result) return;
  if (result.outputsBlob === undefined)
    throw new CodedError('build.output_missing', `${target.name} left none of its outputs (${target.outputs.join(', ')})`, {
      next: `helix tasks logs ${child.id}`,
    });
  await view.buildCache.keep(cacheKey(view, target, built), result.outputsBlob, child.id);
  const kept: TargetResult = { blob: result.outputsBlob, cached: false, wallMs: result.wallMs };
  advance.results.push({ child: child.id, result: kept });
}

function toJob(view: View<BuildSpec, Memo>, target: Target, inputs: string[]): JobSpec {
  const { spec, memo } = view;
  return {
    command: target.command,
    env: target.env,
    killGraceMs: 5_000,
    outputLimitBytes: view.outputLimitBytes,
    inputs,
    outputs: target.outputs,
    workspace: {
      project: view.task.project_id ?? spec.project,
      commit: spec.commit,
      ...(spec.setup &&
        memo.setupKey !== undefined && {
          setup: { key: memo.setupKey, command: spec.setup.command, timeoutMs: spec.setup.timeoutMs },
        }),
    },
    ...(spec.timeoutMs !== undefined && { timeoutMs: spec.timeoutMs }),
  };
}

function cacheKey(view: View<BuildSpec, Memo>, target: Target, built: Map<string, string>): string {
  const hash = createHash('sha256').update(view.memo.inputs?.[target.name] ?? '');
  for (const need of needsOf(target, view.spec.targets)) hash.update(`\0${need}\0${built.get(need) ?? ''}`);
  return hash.digest('hex');
}

/** What decides a target's outcome by itself: command, environment, outputs, set-up, platform, and matching files. */
async function hashInputs(target: Target, files: ProjectFiles, requires: string[], key: string | undefined): Promise<string> {
  const platform = requires.filter((label) => PLATFORM_LABELS.has(label)).sort();
  const hash = createHash('sha256').update(
    JSON.stringify([target.command, Object.entries(target.env).sort(), target.outputs, key ?? null, platform]),
  );
  const paths = files.paths.filter((path) => target.inputs.some((glob) => matchesGlob(path, glob)));
  if (paths.length === 0)
    throw new CodedError('api.bad_request', `no tracked file matches the inputs of ${target.name} (${target.inputs.join(', ')})`, {
      next: 'helix config check',
    });
  for (const path of paths)
    hash.update(
      `\0${path}\0${createHash('sha256')
        .update((await files.read(path)) ?? '')
        .digest('hex')}`,
    );
  return hash.digest('hex');
}

/** Everything a target needs, what its needs need included, in an order in which they can be unpacked. */
function needsOf(target: Target, targets: readonly Target[]): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    const need = targets.find((other) => other.name === name);
    for (const deeper of need?.needs ?? []) visit(deeper);
    found.add(name);
  };
  for (const need of target.needs) visit(need);
  return [...found];
}

function refuseBadGraph(targets: readonly Target[]): void {
  const names = new Set(targets.map((target) => target.name));
  const done = new Set<string>();
  const visit = (name: string, path: string[]): void => {
    if (path.includes(name))
      throw new CodedError('api.bad_request', `the targets need each other in a circle: ${[...path, name].join(' → ')}`, {
        next: 'helix config check',
      });
    if (done.has(name)) return;
    for (const need of targets.find((target) => target.name === name)?.needs ?? []) {
      if (!names.has(need))
        throw new CodedError('api.bad_request', `the target ${name} needs ${need}, which is not a target`, { next: 'helix config check' });
      visit(need, [...path, name]);
    }
    done.add(name);
  };
  for (const name of names) visit(name, []);
}

function outcomeOf(task: TaskRow, children: TaskRow[]): NonNullable<Advance['outcome']> {
  const failed = children.filter((child) => child.state === 'failed');
  const result = {
    targets: children.map((child) => ({ name: child.name, state: child.state, ...(child.result as object | null) })),
  };
  if (children.every((child) => child.state === 'completed')) return { state: 'completed', result };
  return {
    state: 'failed',
    result,
    failure: {
      code: 'task.subtask_failed',
      message: `${failed.map((child) => child.name).join(', ') || 'a target'} failed: ${failed[0]?.failure?.message ?? 'it was cancelled'}`,
      next: `helix tasks logs ${failed[0]?.id ?? task.id}`,
    },
  };
}

function blobOf(child: TaskRow): string {
  const result = child.result as LeafResult | TargetResult;
  return 'blob' in result ? result.blob : (result.outputsBlob ?? '');
}
