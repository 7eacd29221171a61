import { CodedError } from '@helixcode/protocol/errors';
import { appendEvents } from '../events/event-log.ts';
import type { TaskRow } from '../tasks/task-row.ts';
import type { AgentDeps } from './agent-deps.ts';
import { type ApprovalRow, type Asked, findApprovalByKey, insertApproval } from './approval-sql.ts';
import type { Bell } from './bell.ts';

/** What is waited for is looked at so often where nothing is told of it. */
const LOOK_EVERY_MS = 2_000;
const QUESTION_CHARACTERS = 4_000;

/** Asks a person, once, however often this is called. */
export async function askPerson(
  { db, wakeEvents }: Pick<AgentDeps, 'db' | 'wakeEvents'>,
  task: Pick<TaskRow, 'root_id' | 'project_id'>,
  asked: Asked,
): Promise<void> {
  await db.tx(async (tx) => {
    const { row, isNew } = await insertApproval(tx, asked);
    if (!isNew) return;
    await appendEvents(tx, [
      {
        root: task.root_id,
        task: asked.task_id,
        ...(task.project_id && { project: task.project_id }),
        body: {
          type: 'approval.asked',
          approval: row.id,
          session: asked.session_id,
          kind: asked.kind,
          question: asked.question.slice(0, QUESTION_CHARACTERS),
        },
      },
    ]);
  });
  wakeEvents();
}

/** Asks a person, and waits for the answer, however long that takes. */
export async function answerOf(
  deps: Pick<AgentDeps, 'db' | 'wakeEvents'>,
  task: Pick<TaskRow, 'root_id' | 'project_id'>,
  asked: Asked,
  bell: Bell,
  signal: AbortSignal,
): Promise<{ isAccepted: boolean; text: string }> {
  await askPerson(deps, task, asked);
  for (;;) {
    signal.throwIfAborted();
    const row: ApprovalRow | undefined = await findApprovalByKey(deps.db, asked.session_id, asked.key);
    if (!row) throw new CodedError('approval.not_found', `what was asked of a person in ${asked.session_id} is gone`);
    if (row.answered_at) return { isAccepted: row.is_accepted ?? false, text: row.answer ?? '' };
    await bell.next(LOOK_EVERY_MS);
  }
}
