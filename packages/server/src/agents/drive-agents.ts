import { setTimeout as sleep } from 'node:timers/promises';
import { checkEvidence, tellProblems } from '@helixcode/agent/evidence/check-evidence';
import type { Plan } from '@helixcode/agent/plan/plan';
import { CodedError } from '@helixcode/protocol/errors';
import type { TaskId } from '@helixcode/protocol/ids';
import type { AgentSpec } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { appendEvents } from '../events/event-log.ts';
import { changedFiles } from '../projects/changed-files.ts';
import { squashCommit } from '../projects/squash-commit.ts';
import { cancelTask } from '../tasks/cancel-task.ts';
import type { Advance } from '../tasks/kinds/kind.ts';
import type { Progress, TaskRow } from '../tasks/task-row.ts';
import { getTask, lockTask, moveTask, saveDriverState } from '../tasks/task-sql.ts';
import type { AgentDeps } from './agent-deps.ts';
import type { AgentResult } from './agent-result.ts';
import { AgentRun, type RunEnd } from './agent-run.ts';
import { Bell } from './bell.ts';
import { carryOut, type PlanContext, type PlanEnd } from './plan-tree.ts';
import { findSeatTask } from './seat.ts';
import { NotDriven } from './session-book.ts';
import { findSessionOfTask, type SessionRow } from './session-sql.ts';
import { gatherEvidence } from './verify.ts';

/** Progress is for people: it is written at most so often. */
const PROGRESS_EVERY_MS = 300;
/** A task that is not to be driven now is looked at again after this, or when it is woken. */
const REST_MS = 60_000;
/** What is told to nobody, such as the end of a task on a server that was just lost, is found by looking. */
const LOOK_EVERY_MS = 1_000;

export interface Agents {
  /** Drives the agent of a task until it has ended, or this server does. */
  drive(task: TaskRow): Promise<Advance>;
  /** Lets go of all of them, between two steps or in the middle of one: the books know where to go on. */
  stop(): Promise<void>;
}

export function createAgents(deps: AgentDeps): Agents {
  const { db } = deps;
  const stopping = new AbortController();
  const underWay = new Set<Promise<unknown>>();

  async function drive(task: TaskRow): Promise<Advance> {
    const session = await findSessionOfTask(db, task.id);
    if (!session) throw new CodedError('session.not_found', `task ${task.id} belongs to no session`, { next: 'helix sessions list' });
    if (task.state === 'pending') await claim(deps, task.id);

    const over = new AbortController();
    const signal = AbortSignal.any([stopping.signal, over.signal]);
    const bell = new Bell();
    try {
      const run = await AgentRun.open(deps, task, session, bell, signal);
      const hearing = hear(task, {
        signal,
        bell,
        forgetSeat: () => run.forgetSeat(),
        stop: () => over.abort(new NotDriven(`${task.id} is over`)),
      });
      const progress = progressOf(deps, task.id);
      try {
        const end = await run.toEnd(progress.say);
        const { plan } = end.ending;
        if (plan === undefined) return { outcome: { state: 'completed', result: await resultOf(deps, session, end) } };
        await releaseSeat(deps, task);
        const around = { deps, task, session, bell, signal };
        return await endOfPlan(around, plan, await carryOut(around, plan, progress.say));
      } catch (error) {
        // Only what was asked to leave rests; whatever else ended the work is a failure, and told as one.
        if (error instanceof NotDriven || signal.aborted) return { lookAgainMs: REST_MS };
        throw error;
      } finally {
        over.abort(new NotDriven('the run is over'));
        progress.stop();
        await hearing;
      }
    } catch (error) {
      if (error instanceof NotDriven || stopping.signal.aborted) return { lookAgainMs: REST_MS };
      throw error;
    }
  }

  /** Follows what happens to the tree of the task: rings for everything, and stops when the task is not to be driven any more. */
  async function hear(task: TaskRow, ears: { signal: AbortSignal; bell: Bell; forgetSeat(): void; stop(): void }): Promise<void> {
    const { signal, bell } = ears;
    const look = async (): Promise<void> => {
      const { state, attempts } = await getTask(db, task.id);
      if (state !== 'running' || attempts !== task.attempts) ears.stop();
    };
    const looking = (async () => {
      while (!signal.aborted) {
        await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
        if (!signal.aborted)
          await look().catch((error: unknown) => deps.log.debug({ err: error, task: task.id }, 'a task could not be looked at'));
      }
    })();
    try {
      for await (const { task: subject, body } of deps.tail.subscribe({ topic: `task:${task.root_id}`, signal })) {
        if (body.type.startsWith('attempt.')) ears.forgetSeat();
        if (subject === task.id && body.type === 'task.moved' && body.to !== 'running') ears.stop();
        bell.ring();
      }
    } catch (error) {
      // Looking now and then is enough to go on.
      if (!signal.aborted) deps.log.warn({ err: error, task: task.id }, 'an agent no longer hears what happens and looks for it');
    }
    await looking;
  }

  return {
    drive(task) {
      if (stopping.signal.aborted) return Promise.resolve({ lookAgainMs: REST_MS });
      const driving = drive(task);
      const done = driving.catch(() => {}).finally(() => underWay.delete(done));
      underWay.add(done);
      return driving;
    },
    async stop() {
      stopping.abort(new NotDriven('the server ends'));
      await Promise.all(underWay);
    },
  };
}

async function claim({ db, wakeEvents }: AgentDeps, id: TaskId): Promise<void> {
  await db.tx(async (tx) => {
    const task = await lockTask(tx, id);
    if (task.state !== 'pending') return;
    await moveTask(tx, id, 'claim', 'running');
    await appendEvents(tx, [
      {
        root: task.root_id,
        task: id,
        ...(task.project_id && { project: task.project_id }),
        body: { type: 'task.moved', from: 'pending', to: 'running', command: 'claim' },
      },
    ]);
  });
  wakeEvents();
}

/** Who made the plan has no more to do with files. */
async function releaseSeat(deps: AgentDeps, task: TaskRow): Promise<void> {
  const seat = await findSeatTask(deps.db, task.id);
  if (!seat || isSettled(seat.state)) return;
  await cancelTask(deps, seat.id, undefined).catch((error: unknown) => {
    if (!(error instanceof CodedError) || error.code !== 'task.move_refused') throw error;
  });
}

/** The whole counts as any other work: what must pass has to pass at what came out of all parts. */
async function endOfPlan(around: PlanContext, plan: Plan, { parts, tip }: PlanEnd): Promise<Advance> {
  const { deps, task, session } = around;
  const { project_id: project, base_commit: base } = session;
  const changed = tip === base ? [] : await changedFiles(deps.mirrors, project, base, tip);
  const { verify } = task.spec as AgentSpec;
  const commands = changed.length === 0 ? [] : verify;
  const failed = parts.flatMap(({ title, state }) => (state.is === 'failed' ? [{ title, why: state.why }] : []));
  const evidence = failed.length > 0 ? [] : await gatherEvidence(around, 'verify-plan', commands, tip);
  const verdict = checkEvidence({ commands }, evidence, await deps.treeOf(project, tip));
  const texts = parts.map(({ title, state }) => (state.is === 'done' ? `${title}: ${state.text || 'done'}` : `${title}: not done`));
  const result: AgentResult = {
    session: session.id,
    text: [plan.summary, ...texts].join('\n'),
    proof: verdict.isAccepted ? verdict.proof : 'nothing_to_verify',
    receipts: verdict.isAccepted ? verdict.receipts : [],
    changedFiles: changed,
    plan,
    ...(changed.length > 0 && { commit: tip }),
  };
  const next = `helix sessions show ${session.id}`;
  const [first] = failed;
  if (first) {
    const message = `${failed.length} of ${parts.length} parts of the plan were not done; the first: ${first.title}: ${first.why.message}`;
    return { outcome: { state: 'failed', result, failure: { code: 'task.subtask_failed', message, next } } };
  }
  if (verdict.isAccepted) return { outcome: { state: 'completed', result } };
  const message = `all parts of the plan were done, and the checks of the project say no: ${tellProblems(verdict.problems)}`;
  return { outcome: { state: 'failed', result, failure: { code: 'agent.not_verified', message, next } } };
}

async function resultOf({ mirrors, db }: AgentDeps, session: SessionRow, { ending, checkpoint }: RunEnd): Promise<AgentResult> {
  const { project_id: project, base_commit: base } = session;
  const changed = checkpoint === undefined ? [] : await changedFiles(mirrors, project, base, checkpoint.commit);
  const { text, proof, receipts, plan } = ending;
  const result: AgentResult = { session: session.id, text, proof, receipts, changedFiles: changed, ...(plan && { plan }) };
  if (checkpoint === undefined || changed.length === 0) return result;
  const { started_at: startedAt } = await getTask(db, session.task_id);
  const message = `${session.title}\n\n${text}\n\nHelix-Session: ${session.id}\n`;
  const commit = await squashCommit(mirrors, project, { base, files: checkpoint.commit, message, at: startedAt ?? session.created_at });
  return { ...result, commit };
}

/** Writes down what an agent is at, the latest of what was said since the last time. */
function progressOf({ db, log, wakeEvents }: AgentDeps, id: TaskId): { say(progress: Progress): void; stop(): void } {
  let said: Progress | undefined;
  let written = '';
  let timer: NodeJS.Timeout | undefined;
  const write = async (): Promise<void> => {
    timer = undefined;
    if (!said || JSON.stringify(said) === written) return;
    const progress = said;
    written = JSON.stringify(progress);
    await db.tx(async (tx) => {
      const task = await getTask(tx, id);
      await saveDriverState(tx, id, task.memo, progress);
      await appendEvents(tx, [{ root: task.root_id, task: id, body: { type: 'task.progress', ...progress } }]);
    });
    wakeEvents();
  };
  return {
    say(progress) {
      said = progress;
      timer ??= setTimeout(() => {
        write().catch((error: unknown) => log.debug({ err: error, task: id }, 'the progress of an agent was not written'));
      }, PROGRESS_EVERY_MS);
    },
    stop: () => clearTimeout(timer),
  };
}
