import { type SessionStart, sessionStart } from '@helixcode/protocol/api/session-views';
import { CodedError } from '@helixcode/protocol/errors';
import { newId, type ProjectId, type UserId, type WorkerId } from '@helixcode/protocol/ids';
import { type AgentSpec, agentSpec, taskPolicy } from '@helixcode/protocol/task/task-spec';
import type { WorkspaceSpec } from '@helixcode/protocol/worker/job';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import { findProject } from '../projects/project-sql.ts';
import { setupKey } from '../tasks/setup-key.ts';
import type { NewTask, RestorePoint, TaskRow } from '../tasks/task-row.ts';
import { findChild, insertTasks } from '../tasks/task-sql.ts';
import type { AgentDeps } from './agent-deps.ts';
import { beginSession, firstModel, readProjectFacts, verifyCommands } from './begin.ts';
import { seatOf } from './seat.ts';
import { addEntries } from './session-book.ts';
import { findSessionOfTask, insertSession, type NewEntry, type SessionRow, type SessionSettings } from './session-sql.ts';

/** What the key of a task begins with whose agent works for another one. */
export const SPAWNED = 'spawn-';
const TITLE_CHARACTERS = 80;

/**
 * Writes a session down, with the task that does its work, and sets it going.
 *
 * @throws CodedError `project.not_found`, `snapshot.refused`, `worker.not_found`, `model.not_configured`, `model.config_invalid`, `agent.message_too_large`
 */
export async function startSession(deps: AgentDeps, start: SessionStart, user: UserId): Promise<SessionRow> {
  const project = await findProject(deps.db, start.project);
  const files = await deps.projectFiles(project.id, start.commit);
  const [model, facts] = await Promise.all([
    firstModel(deps, start.mode === 'plan' ? 'plan' : 'agent', start.model),
    readProjectFacts(files, start),
  ]);
  const onlyWorker = start.worker === undefined ? undefined : workerNamed(deps, start.worker);
  const verify = verifyCommands(start.verify, facts);
  const conversation = await beginSession(start, model, files, verify);
  const id = newId('session');
  const title = start.title ?? titleOf(start.goal);
  const spec = agentSpec.parse({
    project: project.id,
    commit: start.commit,
    session: id,
    goal: start.goal,
    mode: start.mode,
    verify,
    setup: facts.setup ?? null,
    ...(start.test && { test: start.test }),
  } satisfies AgentSpec);
  const settings: SessionSettings = {
    firstModel: model.name,
    requires: start.requires,
    ...(start.model !== undefined && { model: start.model }),
    ...(start.budgetUsd !== undefined && { budgetUsd: start.budgetUsd }),
    ...(onlyWorker && { worker: onlyWorker }),
  };
  const workspace = await workspaceOf(deps, spec);
  const { row, task } = await deps.db.tx(async (tx) => {
    const task = await insertAgentTask(tx, deps, { spec, title, user, workspace, settings });
    const row = await insertSession(tx, {
      id,
      project_id: project.id,
      user_id: user,
      title,
      mode: start.mode,
      base_commit: start.commit,
      settings,
      task_id: task.id,
      fork_of: null,
      run_id: id,
    });
    const head = await addEntries(tx, { id, head: 0, root: task.root_id, task: task.id, project: project.id }, [
      { outcome: { type: 'began', conversation, atMs: Date.now() } },
    ]);
    return { row: { ...row, head }, task };
  });
  setGoing(deps, task);
  return row;
}

/** What an agent gives to another one. */
export interface SubGoal {
  goal: string;
  title: string;
  /** What its files begin with. */
  commit: string;
  minutes?: number;
  budgetUsd?: number;
  /** What must pass before it is done. */
  verify: string[];
}

/** A session whose work is part of another one's task, paid from the same budget. The same key again is the same session. */
export async function startSubSession(
  deps: AgentDeps,
  parent: { task: TaskRow; session: SessionRow; key: string },
  sub: SubGoal,
): Promise<SessionRow> {
  const { session, task: above, key } = parent;
  const known = await findChild(deps.db, above.id, key);
  const standing = known && (await findSessionOfTask(deps.db, known.id));
  if (standing) return standing;
  const { project_id: project, user_id: user } = session;
  const aboveSpec = above.spec as AgentSpec;
  const files = await deps.projectFiles(project, sub.commit);
  const model = await firstModel(deps, 'agent', session.settings.model);
  const start = sessionStart.parse({
    project,
    commit: sub.commit,
    goal: sub.goal,
    ...(session.settings.model !== undefined && { model: session.settings.model }),
    ...(sub.minutes !== undefined && { minutes: sub.minutes }),
  });
  const begun = await beginSession(start, model, files, sub.verify);
  // Whoever works for another does not have others work for itself: what it costs and who integrates it stays in sight.
  const tools = begun.settings.tools.filter(({ name }) => name !== 'spawn');
  const conversation = { ...begun, settings: { ...begun.settings, tools } };
  const id = newId('session');
  const spec: AgentSpec = { ...aboveSpec, commit: sub.commit, session: id, goal: sub.goal, mode: 'work', verify: sub.verify };
  const settings: SessionSettings = { ...session.settings, ...(sub.budgetUsd !== undefined && { spendUsd: sub.budgetUsd }) };
  const workspace = await workspaceOf(deps, spec);
  const { row, task } = await deps.db.tx(async (tx) => {
    const task = await insertAgentTask(tx, deps, { spec, title: sub.title, user, workspace, settings, below: { parent: above, key } });
    const row = await insertSession(tx, {
      ...session,
      id,
      title: sub.title,
      mode: 'work',
      base_commit: sub.commit,
      settings,
      task_id: task.id,
      fork_of: null,
    });
    const head = await addEntries(tx, { id, head: 0, root: task.root_id, task: task.id, project }, [
      { outcome: { type: 'began', conversation, atMs: Date.now() } },
    ]);
    return { row: { ...row, head }, task };
  });
  setGoing(deps, task);
  return row;
}

/** A session that begins as another one stood. Its entries are copies: what becomes of the other one does not concern it. */
export async function forkSession(
  deps: AgentDeps,
  from: { session: SessionRow; spec: AgentSpec; way: readonly NewEntry[]; restore: RestorePoint | undefined },
  user: UserId,
): Promise<SessionRow> {
  const id = newId('session');
  const spec: AgentSpec = { ...from.spec, session: id };
  const { project_id: project, settings, title } = from.session;
  const workspace = await workspaceOf(deps, spec);
  const { row, task } = await deps.db.tx(async (tx) => {
    const task = await insertAgentTask(tx, deps, { spec, title, user, workspace, settings, restore: from.restore });
    const row = await insertSession(tx, { ...from.session, id, user_id: user, task_id: task.id, fork_of: from.session.id, run_id: id });
    const head = await addEntries(tx, { id, head: 0, root: task.root_id, task: task.id, project }, from.way);
    return { row: { ...row, head }, task };
  });
  setGoing(deps, task);
  return row;
}

/** A task that does the work of a session. */
export interface AgentTask {
  spec: AgentSpec;
  title: string;
  user: UserId;
  workspace: WorkspaceSpec;
  settings: SessionSettings;
  /** Where its files begin; absent: at the commit. */
  restore?: RestorePoint | undefined;
  /** Makes it part of another task. */
  below?: { parent: TaskRow; key: string } | undefined;
}

/** A new task for a session whose last one is over, or is to be left. In the caller's transaction; call `setGoing` after it. */
export async function insertAgentTask(
  tx: Db,
  { outputLimitBytes, policy }: Pick<AgentDeps, 'outputLimitBytes' | 'policy'>,
  { spec, title, user, workspace, settings, restore, below }: AgentTask,
): Promise<TaskRow> {
  const id = newId('task');
  const root = below?.parent.root_id ?? id;
  const priority = below?.parent.priority ?? 0;
  const requires = [...new Set(['git', ...settings.requires])];
  const project = spec.project as ProjectId;
  const onlyWorker = (settings.worker as WorkerId | undefined) ?? null;
  const task: NewTask = {
    id,
    root,
    ...(below && { parent: below.parent.id, key: below.key }),
    project,
    kind: 'agent',
    name: title,
    isLeaf: false,
    spec,
    state: 'pending',
    priority,
    requires,
    ...(onlyWorker && { onlyWorker }),
    policy: { ...taskPolicy.parse({}), acceptExit: 'zero' },
    createdBy: user,
  };
  const seat = seatOf({ id, root, project, priority, requires, onlyWorker, workspace, sandbox: policy.sandbox, outputLimitBytes, restore });
  const rows = await insertTasks(tx, [task, seat]);
  await appendEvents(
    tx,
    rows.map((row) => ({
      root,
      task: row.id,
      project,
      body: { type: 'task.created', kind: row.kind, name: row.name, state: row.state },
    })),
  );
  return rows.find((row) => row.id === id) as TaskRow;
}

export function setGoing(deps: AgentDeps, task: TaskRow): void {
  deps.wakeEvents();
  deps.startDriver(task);
  deps.wakePlacement();
}

export async function workspaceOf({ projectFiles }: Pick<AgentDeps, 'projectFiles'>, spec: AgentSpec): Promise<WorkspaceSpec> {
  const project = spec.project as ProjectId;
  const { setup } = spec;
  if (!setup) return { project, commit: spec.commit };
  const key = await setupKey(setup, await projectFiles(project, spec.commit));
  return { project, commit: spec.commit, setup: { key, command: setup.command, timeoutMs: setup.timeoutMs } };
}

function workerNamed({ pool }: Pick<AgentDeps, 'pool'>, name: string): WorkerId {
  const worker = pool.workers().find((one) => one.id === name || one.name === name);
  if (!worker) throw new CodedError('worker.not_found', `there is no worker ${name}`, { next: 'helix workers list' });
  return worker.id;
}

function titleOf(goal: string): string {
  const line = goal.trim().split('\n', 1)[0]?.trim() ?? '';
  return line.length > TITLE_CHARACTERS ? `${line.slice(0, TITLE_CHARACTERS - 1)}…` : line || '(no words)';
}
