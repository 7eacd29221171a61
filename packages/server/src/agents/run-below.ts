import type { UserId } from '@helixcode/protocol/ids';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import { taskSubmission } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { submitTask } from '../tasks/submit-task.ts';
import type { TaskRow } from '../tasks/task-row.ts';
import { getTask } from '../tasks/task-sql.ts';
import type { AgentDeps } from './agent-deps.ts';
import type { Bell } from './bell.ts';

/** What is waited for is looked at so often where nothing is told of it. */
const LOOK_EVERY_MS = 2_000;

/** Runs a task as a part of another, and waits for its end. The same key again is the same task: it is waited for, or its outcome is had at once. */
export async function runBelow(
  deps: AgentDeps,
  parent: Pick<TaskRow, 'id' | 'root_id'>,
  key: string,
  submission: TaskSubmissionInput,
  user: UserId,
  bell: Bell,
  signal: AbortSignal,
): Promise<TaskRow> {
  let task = await submitTask(deps, taskSubmission.parse(submission), user, { parent, key });
  while (!isSettled(task.state)) {
    await bell.next(LOOK_EVERY_MS);
    signal.throwIfAborted();
    task = await getTask(deps.db, task.id);
  }
  return task;
}
