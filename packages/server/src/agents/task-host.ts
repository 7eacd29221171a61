import type { AgentHost } from '@helixcode/agent/tools/agent-host';
import type { Workspace } from '@helixcode/agent/workspace';
import { CodedError } from '@helixcode/protocol/errors';
import { testReport } from '@helixcode/protocol/test/test-result';
import type { TaskRow } from '../tasks/task-row.ts';
import type { AgentDeps } from './agent-deps.ts';
import { answerOf } from './ask-person.ts';
import type { Bell } from './bell.ts';
import { runBelow } from './run-below.ts';
import type { SessionCheckpoint, SessionRow } from './session-sql.ts';
import { runSubAgent } from './sub-agent.ts';
import { testSubmission } from './test-submission.ts';

export interface HostContext {
  deps: AgentDeps;
  task: TaskRow;
  session: SessionRow;
  bell: Bell;
  workspace: Workspace;
  /** Records the files as they are now. */
  record(): Promise<SessionCheckpoint & { commit: string }>;
}

/**
 * What one call of an agent may ask of the pool and of people. Each is known by the call: made again after a crash it waits for what was begun.
 *
 * @param key what the call is known by in its task
 *
 * @throws CodedError where it could not be had
 */
export function hostOf({ deps, task, session, bell, workspace, record }: HostContext, key: string): AgentHost {
  const asked = { session_id: session.id, task_id: task.id, key: `${task.id}-${key}` };
  return {
    async runTests({ patterns }, signal) {
      const { commit } = await record();
      const run = await runBelow(deps, task, `tests-${key}`, testSubmission(task, commit, patterns), session.user_id, bell, signal);
      const report = testReport.safeParse(run.result);
      if (report.success) return report.data;
      throw CodedError.fromFact(run.failure ?? { code: 'test.runner_failed', message: `the tests (${run.id}) gave no result` });
    },

    async showPlan(plan, totals, signal) {
      const details = { plan: { ...plan, totals } };
      if (session.mode !== 'plan') return { isAccepted: true };
      const { isAccepted, text } = await answerOf(deps, task, { ...asked, kind: 'plan', question: plan.summary, details }, bell, signal);
      return { isAccepted, ...(text !== '' && { remarks: text }) };
    },

    async ask({ question, options }, signal) {
      const { isAccepted, text } = await answerOf(deps, task, { ...asked, kind: 'question', question, details: { options } }, bell, signal);
      return { answer: isAccepted ? text : `(no answer${text === '' ? '' : `: ${text}`})` };
    },

    async spawn(order, signal) {
      const { commit } = await record();
      return runSubAgent(deps, { task, session, workspace }, { key, commit, order }, bell, signal);
    },
  };
}
