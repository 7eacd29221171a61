import { createHash } from 'node:crypto';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { SetupCommand, ShellSpec } from '@helixcode/protocol/task/task-spec';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { setupKey } from '../setup-key.ts';
import type { Advance, TaskKind, View } from './kind.ts';

/** Items whose leaves are made in one turn: a larger transaction would hold up everybody else's. */
const ITEMS_AT_ONCE = 1_000;

/** How often progress is counted: each count looks at all leaves. */
const PROGRESS_EVERY_MS = 250;

interface Memo {
  planned?: number;
  setupKey?: string;
}

/** A command; with `each`, the command once per item. */
export const shellKind: TaskKind<ShellSpec, Memo> = {
  kind: 'shell',

  describe: (spec) => firstLine(spec.command) + (spec.each ? ` × ${spec.each.length}` : ''),

  requires: (spec) => (spec.project ? ['git'] : []),

  leafJob(spec, { outputLimitBytes }) {
    if (spec.each || spec.setup) return undefined;
    return shellJob(spec, undefined, outputLimitBytes);
  },

  async advance(view) {
    const { spec, memo } = view;
    const key = spec.setup && (memo.setupKey ?? (await keyOfSetup(view, spec.setup)));
    const items = spec.each ?? [''];
    const planned = memo.planned ?? 0;
    if (planned < items.length) return planItems(view, items, planned, key);

    const counts = await view.countChildren();
    const done = (counts.completed ?? 0) + (counts.failed ?? 0) + (counts.cancelled ?? 0);
    const progress = { phase: 'running', done, total: items.length };
    if (done < items.length) return { progress, rest: { ms: PROGRESS_EVERY_MS, ends: items.length - done } };
    const failed = (counts.failed ?? 0) + (counts.cancelled ?? 0);
    const result = { items: items.length, failed };
    if (failed === 0) return { progress, outcome: { state: 'completed', result } };
    return { progress, outcome: { state: 'failed', result, failure: await failureOf(view, failed) } };
  },
};

/** The command's own failure; of many items, how many failed and the first of them. */
async function failureOf(view: View<ShellSpec, Memo>, failed: number): Promise<ErrorFact> {
  const first = (await view.children()).find((child) => child.state !== 'completed');
  const cause = first?.failure ?? {
    code: 'task.subtask_failed' as const,
    message: `${first?.name ?? 'the command'} was ${first?.state ?? 'lost'}`,
  };
  if (!view.spec.each) return cause;
  return {
    code: 'task.subtask_failed',
    message: `${failed} of ${view.spec.each.length} commands failed; the first: ${cause.message}`,
    next: `helix tasks logs ${first?.id ?? view.task.id}`,
  };
}

function planItems(view: View<ShellSpec, Memo>, items: string[], planned: number, key: string | undefined): Advance {
  const { spec, memo, task } = view;
  const next = items.slice(planned, planned + ITEMS_AT_ONCE);
  const job = shellJob(spec, key, view.outputLimitBytes);
  return {
    add: next.map((item, index) => ({
      key: String(planned + index),
      name: spec.each ? firstLine(item) : task.name,
      spec: { item },
      job: spec.each ? { ...job, env: { ...job.env, HELIX_ITEM: item } } : job,
      policy: { ...task.policy, acceptExit: 'zero' as const },
    })),
    memo: { ...memo, planned: planned + next.length, ...(key !== undefined && { setupKey: key }) },
    progress: { phase: 'running', done: 0, total: items.length },
    lookAgainMs: planned + next.length < items.length ? 0 : 60_000,
  };
}

function shellJob(spec: ShellSpec, key: string | undefined, outputLimitBytes: number): JobSpec {
  return {
    command: spec.command,
    env: spec.env,
    killGraceMs: 5_000,
    outputLimitBytes,
    ...(spec.cwd !== undefined && { cwd: spec.cwd }),
    ...(spec.timeoutMs !== undefined && { timeoutMs: spec.timeoutMs }),
    ...(spec.project !== undefined &&
      spec.commit !== undefined && {
        workspace: {
          project: spec.project,
          commit: spec.commit,
          ...(spec.setup && key !== undefined && { setup: { key, command: spec.setup.command, timeoutMs: spec.setup.timeoutMs } }),
        },
      }),
  };
}

async function keyOfSetup(view: View<ShellSpec, Memo>, setup: SetupCommand): Promise<string> {
  const { project_id: project } = view.task;
  if (!project || !view.spec.commit) return createHash('sha256').update(setup.command).digest('hex').slice(0, 32);
  return setupKey(setup, await view.projectFiles(project, view.spec.commit));
}

/** The first line, bounded for a table. */
export function firstLine(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length > 80 ? `${line.slice(0, 79)}…` : line || '(empty)';
}
