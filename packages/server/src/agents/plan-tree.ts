import type { Plan, Subtask } from '@helixcode/agent/plan/plan';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { MergeReturn } from '@helixcode/protocol/merge/merge-view';
import type { AgentSpec, TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import { taskSubmission } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { commitMerged, mergeCommits } from '../merge/merge-commits.ts';
import type { MergeOutcome, MergeQueues } from '../merge/merge-queues.ts';
import { submitTask } from '../tasks/submit-task.ts';
import type { Progress, TaskRow } from '../tasks/task-row.ts';
import { findChild, getTask } from '../tasks/task-sql.ts';
import type { AgentDeps } from './agent-deps.ts';
import type { AgentResult } from './agent-result.ts';
import type { Bell } from './bell.ts';
import { addEntries } from './session-book.ts';
import { findSessionOfTask, lockSession, type SessionRow, setBaseOfSession, setTaskOfSession } from './session-sql.ts';
import { insertAgentTask, setGoing, startSubSession, workspaceOf } from './start-session.ts';
import { testSubmission } from './test-submission.ts';

/** What is waited for is looked at so often where nothing is told of it. */
const LOOK_EVERY_MS = 2_000;
const MESSAGE_CHARACTERS = 20_000;

/** How a part of a plan stands. */
type PartState = { is: 'waits' } | { is: 'works' } | { is: 'done'; text: string } | { is: 'failed'; why: ErrorFact };

/** How a plan was carried out. */
export interface PlanEnd {
  parts: { id: string; title: string; state: PartState }[];
  /** The newest commit that holds what was merged; the base where nothing was. */
  tip: string;
}

export interface PlanContext {
  deps: AgentDeps;
  task: TaskRow;
  session: SessionRow;
  bell: Bell;
  signal: AbortSignal;
}

/**
 * Carries a plan out that a person agreed to: each part as soon as what it needs is done, agents in checkouts of their own, on any workers. What an agent changed goes
 * through the merge queue of the tree; a change that does not fit goes back to the agent that made it, with the files as they came out.
 *
 * Everything is known by keys made of the parts' ids: called again after a crash it goes on.
 */
export async function carryOut(
  { deps, task, session, bell, signal }: PlanContext,
  plan: Plan,
  onProgress: (progress: Progress) => void,
): Promise<PlanEnd> {
  const queueOf = () => deps.merges.openQueue({ root: task.root_id, project: session.project_id, base: session.base_commit });
  const tree = { deps, task, session, queue: (await queueOf()).id };
  for (;;) {
    signal.throwIfAborted();
    const states = new Map<string, PartState>();
    for (const part of plan.subtasks) states.set(part.id, await lookAt(tree, part));
    let isBegun = false;
    for (const part of plan.subtasks) {
      if (states.get(part.id)?.is !== 'waits') continue;
      const needs = part.needs.map((need) => states.get(need));
      const broken = part.needs.find((need) => states.get(need)?.is === 'failed');
      if (broken !== undefined) {
        const message = `${part.title} was not begun: ${broken}, which it needs, was not done`;
        states.set(part.id, { is: 'failed', why: { code: 'task.subtask_failed', message } });
        isBegun = true;
      } else if (needs.every((need) => need?.is === 'done')) {
        await begin(tree, part, (await queueOf()).tip_commit);
        states.set(part.id, { is: 'works' });
        isBegun = true;
      }
    }
    const parts = plan.subtasks.map(({ id, title }) => ({ id, title, state: states.get(id) ?? { is: 'waits' as const } }));
    const isOver = ({ state }: (typeof parts)[number]): boolean => state.is === 'done' || state.is === 'failed';
    onProgress({ phase: 'carrying out the plan', done: parts.filter(isOver).length, total: parts.length });
    if (parts.every(isOver)) {
      return { parts, tip: (await queueOf()).tip_commit };
    }
    // Who waits for one that failed is looked at again at once.
    if (!isBegun) await bell.next(LOOK_EVERY_MS);
  }
}

interface Tree extends Pick<PlanContext, 'deps' | 'task' | 'session'> {
  queue: Parameters<MergeQueues['enter']>[0]['queue'];
}

async function lookAt(tree: Tree, part: Subtask): Promise<PartState> {
  const { deps, task } = tree;
  const first = await findChild(deps.db, task.id, keyOf(part, 1));
  if (!first) return { is: 'waits' };
  if (part.kind !== 'agent') return stateOfTask(first);

  const session = await findSessionOf(deps, tree, part, first);
  const worker = session ? await getTask(deps.db, session.task_id) : first;
  if (worker.state !== 'completed') return stateOfTask(worker);
  const result = worker.result as AgentResult;
  if (result.commit === undefined) return { is: 'done', text: result.text };
  let outcome = await deps.merges.enter({ queue: tree.queue, key: part.id, task: first.id, commit: result.commit, title: part.title });
  const isNextTry = worker.id !== first.id && outcome.state === 'conflict' && worker.key === keyOf(part, outcome.try + 1);
  if (isNextTry) outcome = await deps.merges.enterAgain(outcome.entry, { after: outcome.try, commit: result.commit });
  switch (outcome.state) {
    case 'merged':
      return { is: 'done', text: result.text };
    case 'refused':
      return { is: 'failed', why: outcome.failure ?? { code: 'merge.failed', message: `${part.title} was not merged` } };
    case 'conflict':
      if (session) await giveBack(tree, part, session, outcome);
      return { is: 'works' };
    default:
      return { is: 'works' };
  }
}

/** The session of a part: it may have had several tasks, each a try of the same agent. */
async function findSessionOf(deps: AgentDeps, { task }: Tree, part: Subtask, first: TaskRow): Promise<SessionRow | undefined> {
  let newest: SessionRow | undefined = await findSessionOfTask(deps.db, first.id);
  for (let attempt = 2; !newest; attempt++) {
    const next = await findChild(deps.db, task.id, keyOf(part, attempt));
    if (!next) return undefined;
    newest = await findSessionOfTask(deps.db, next.id);
  }
  return newest;
}

async function begin({ deps, task, session }: Tree, part: Subtask, commit: string): Promise<void> {
  const key = keyOf(part, 1);
  if (part.kind === 'agent') {
    const files = part.files.length === 0 ? '' : `\n\nFiles it will probably change: ${part.files.join(', ')}`;
    await startSubSession(
      deps,
      { task, session, key },
      { goal: `${part.title}\n\n${part.detail}${files}`, title: part.title, commit, verify: [] },
    );
    return;
  }
  const { project, setup } = task.spec as AgentSpec;
  const submission: TaskSubmissionInput =
    part.kind === 'shell'
      ? { kind: 'shell', name: part.title, spec: { command: part.detail, project, commit, ...(setup && { setup }) } }
      : { ...testSubmission(task, commit, []), name: part.title };
  await submitTask(deps, taskSubmission.parse(submission), session.user_id, { parent: task, key });
}

/** Lets the agent that made a change make it fit: its files are those that came out of the merge, the places that differ marked in them. */
async function giveBack({ deps, task }: Tree, part: Subtask, session: SessionRow, outcome: MergeOutcome): Promise<void> {
  const { returned } = outcome;
  if (!returned) return;
  const { db } = deps;
  const { project_id: project } = session;
  const before = await getTask(deps.db, session.task_id);
  const change = (before.result as AgentResult).commit;
  if (change === undefined) return;
  const commit =
    returned.why === 'verification' ? returned.commit : await marked(deps, { project, onto: returned.onto, change, part, task: before });
  const spec: AgentSpec = { ...(before.spec as AgentSpec), commit: returned.onto };
  const workspace = await workspaceOf(deps, spec);
  const key = keyOf(part, outcome.try + 1);
  const begun = await db.tx(async (tx) => {
    const locked = await lockSession(tx, session.id);
    // Somebody was here before a crash.
    if (!locked || locked.task_id !== before.id) return undefined;
    const next = await insertAgentTask(tx, deps, {
      spec,
      title: part.title,
      user: session.user_id,
      workspace,
      settings: session.settings,
      restore: { number: outcome.try, commit },
      below: { parent: task, key },
    });
    await setTaskOfSession(tx, session.id, next.id);
    await setBaseOfSession(tx, session.id, returned.onto);
    const text = tellReturn(returned).slice(0, MESSAGE_CHARACTERS);
    await addEntries(tx, { id: session.id, head: locked.head, root: task.root_id, task: next.id, project }, [
      { outcome: { type: 'person_said', text, atMs: Date.now() } },
    ]);
    return next;
  });
  if (begun) setGoing(deps, begun);
}

/** A commit with the files that came out of a merge that failed, on the commit that they have to fit. */
async function marked(
  { mirrors }: AgentDeps,
  { project, onto, change, part, task }: { project: ProjectId; onto: string; change: string; part: Subtask; task: TaskRow },
): Promise<string> {
  const gitDir = mirrors.folderOf(project);
  const merged = await mergeCommits(mirrors.git, gitDir, onto, change);
  if (merged.is !== 'conflict' && merged.is !== 'clean') return change;
  return commitMerged(mirrors.git, gitDir, {
    tree: merged.tree,
    onto,
    title: part.title,
    task: task.id,
    at: task.finished_at ?? task.created_at,
  });
}

function tellReturn(returned: MergeReturn): string {
  if (returned.why === 'verification')
    return `Your change was put on top of what others changed meanwhile, and the suite fails there. Your files are now those that came out. Make the suite pass, and keep what the others did.\n\n${returned.summary}`;
  const conflicts = returned.conflicts.map(({ path, message, text }) => `${path}: ${message}${text === undefined ? '' : `\n${text}`}`);
  return [
    'Your change does not fit what others changed meanwhile. Your files are now those that came out of the merge; the places that differ are marked with <<<<<<<, ======= and >>>>>>>. Resolve them so that both changes keep their meaning, and leave no mark.',
    ...conflicts,
    ...(returned.more > 0 ? [`and ${returned.more} more files`] : []),
  ].join('\n\n');
}

function stateOfTask(task: TaskRow): PartState {
  if (!isSettled(task.state)) return { is: 'works' };
  if (task.state === 'completed') return { is: 'done', text: '' };
  return { is: 'failed', why: task.failure ?? { code: 'task.subtask_failed', message: `${task.name} was ${task.state}` } };
}

function keyOf(part: Subtask, attempt: number): string {
  return attempt === 1 ? `plan-${part.id}` : `plan-${part.id}-${attempt}`;
}
