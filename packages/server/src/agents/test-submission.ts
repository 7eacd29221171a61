import type { AgentSpec, TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import type { TaskRow } from '../tasks/task-row.ts';

/** The suite of the project at a commit, as the agent's task was told to run it: at the same priority, since somebody waits for it. */
export function testSubmission(task: Pick<TaskRow, 'spec' | 'priority'>, commit: string, patterns: string[]): TaskSubmissionInput {
  const { project, test, setup } = task.spec as AgentSpec;
  return {
    kind: 'test',
    priority: Math.min(100, task.priority + 1),
    spec: { ...test, project, commit, patterns, ...(setup !== undefined && { setup }) },
  };
}
