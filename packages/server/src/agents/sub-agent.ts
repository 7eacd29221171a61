import type { Conversation } from '@helixcode/agent/conversation';
import type { SubAgentOrder, SubAgentReport } from '@helixcode/agent/tools/agent-host';
import type { Workspace } from '@helixcode/agent/workspace';
import { textOf } from '@helixcode/llm/model-port';
import { CodedError } from '@helixcode/protocol/errors';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { changedFiles } from '../projects/changed-files.ts';
import { cancelTask } from '../tasks/cancel-task.ts';
import type { TaskRow } from '../tasks/task-row.ts';
import { getTask } from '../tasks/task-sql.ts';
import type { AgentDeps } from './agent-deps.ts';
import type { Bell } from './bell.ts';
import { readStanding } from './session-book.ts';
import { findSession, type SessionRow } from './session-sql.ts';
import { SPAWNED, startSubSession } from './start-session.ts';

/** What is waited for is looked at so often where nothing is told of it. */
const LOOK_EVERY_MS = 2_000;
/** Its time counts while it works; waiting for a worker or a person is given as much again, and this. */
const GRACE_MS = 60_000;
const TITLE_CHARACTERS = 80;
/** A larger change is integrated by a person. */
const MAX_PATCH_BYTES = 2 * 1024 * 1024;
const APPLY_WITHIN_MS = 120_000;

/**
 * Gives a goal to another agent, which works on a copy of the files, and waits for it; what it changed is put into the files of the one who asked. The same call again
 * waits for the same agent.
 *
 * @param commit the files as they are
 */
export async function runSubAgent(
  deps: AgentDeps,
  above: { task: TaskRow; session: SessionRow; workspace: Workspace },
  { key, commit, order }: { key: string; commit: string; order: SubAgentOrder },
  bell: Bell,
  signal: AbortSignal,
): Promise<SubAgentReport> {
  const { goal, minutes, budgetUsd } = order;
  const title = goal.trim().split('\n', 1)[0]?.slice(0, TITLE_CHARACTERS) || 'a part of the work';
  const begun = await startSubSession(
    deps,
    { task: above.task, session: above.session, key: `${SPAWNED}${key}` },
    { goal, title, commit, minutes, verify: [], ...(budgetUsd !== undefined && { budgetUsd }) },
  );
  const task = await settledOf(deps, await getTask(deps.db, begun.task_id), minutes, bell, signal);
  const session = (await findSession(deps.db, begun.id)) ?? begun;
  const { conversation, checkpoint } = await readStanding(deps.db, session.head);
  const base = session.base_commit;
  const changed = checkpoint ? await changedFiles(deps.mirrors, session.project_id, base, checkpoint.commit) : [];
  const report: SubAgentReport = {
    id: session.id,
    ending: endingOf(task),
    text: lastWords(conversation),
    changedFiles: changed,
    ...(task.failure && { reason: task.failure.message }),
  };
  if (report.ending !== 'done' || !checkpoint || changed.length === 0) return report;
  const problem = await putInto(deps, above, session.base_commit, checkpoint.commit, signal);
  return problem === undefined ? report : { ...report, ending: 'failed', reason: problem };
}

async function settledOf(deps: AgentDeps, begun: TaskRow, minutes: number, bell: Bell, signal: AbortSignal): Promise<TaskRow> {
  const lateAtMs = begun.created_at.getTime() + 2 * minutes * 60_000 + GRACE_MS;
  for (let task = begun; ; task = await getTask(deps.db, task.id)) {
    if (isSettled(task.state)) return task;
    if (Date.now() > lateAtMs) {
      const failure = { code: 'task.deadline_passed' as const, message: `it had ${minutes} minutes and did not end` };
      await cancelTask(deps, task.id, failure).catch((error: unknown) => {
        if (!(error instanceof CodedError) || error.code !== 'task.move_refused') throw error;
      });
      continue;
    }
    await bell.next(LOOK_EVERY_MS);
    signal.throwIfAborted();
  }
}

function endingOf({ state, failure }: TaskRow): SubAgentReport['ending'] {
  if (state === 'completed') return 'done';
  if (state === 'cancelled') return 'cancelled';
  if (failure?.code === 'agent.time_spent' || failure?.code === 'task.deadline_passed') return 'deadline';
  if (failure?.code === 'budget.spent') return 'budget';
  return failure?.code.startsWith('agent.') ? 'parked' : 'failed';
}

function lastWords({ ending, entries }: Conversation): string {
  if (ending) return ending.text;
  const said = entries.findLast(({ from, message }) => from === 'model' && message.role === 'assistant' && textOf(message).trim() !== '');
  return said?.message.role === 'assistant' ? textOf(said.message) : '(it said nothing)';
}

/** Puts a change into a workspace whose files are those it was made on. @returns what is wrong, where it cannot be done */
async function putInto(
  { mirrors }: AgentDeps,
  { session, workspace }: { session: SessionRow; workspace: Workspace },
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const args = [
    `--git-dir=${mirrors.folderOf(session.project_id)}`,
    'diff-tree',
    '-p',
    '--binary',
    '--full-index',
    '--no-renames',
    '--end-of-options',
    from,
    to,
  ];
  const patch = await mirrors.git.run(args);
  if (patch.length > MAX_PATCH_BYTES) return `its change has ${patch.length} bytes, too many to be put into these files`;
  const command = `base64 -d <<'END' | git apply --binary --whitespace=nowarn -\n${patch.toString('base64').replaceAll(/.{1,4000}/g, '$&\n')}END`;
  const { exitCode, output } = await workspace.run(
    { command, folder: '', timeoutMs: APPLY_WITHIN_MS, headBytes: 2_000, tailBytes: 0, maxOutputBytes: 1024 * 1024 },
    signal,
  );
  return exitCode === 0 ? undefined : `its change does not fit these files: ${Buffer.from(output.head).toString().trim()}`;
}
