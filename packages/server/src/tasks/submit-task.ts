import { CodedError } from '@helixcode/protocol/errors';
import { newId, type UserId, type WorkerId } from '@helixcode/protocol/ids';
import type { TaskSubmission } from '@helixcode/protocol/task/task-spec';
import { appendEvents } from '../events/event-log.ts';
import { findProject } from '../projects/project-sql.ts';
import { KINDS } from './kinds/kinds.ts';
import type { TaskContext } from './task-context.ts';
import type { NewTask, TaskRow } from './task-row.ts';
import { findChild, insertTasks } from './task-sql.ts';

/**
 * Writes a task down and sets it going.
 *
 * @param below makes it part of another task: the same key again is the same task
 * @throws CodedError `project.not_found`, `worker.not_found`; `api.bad_request` for a checkout without a commit
 */
export async function submitTask(
  context: TaskContext & { startDriver(task: TaskRow): void },
  submission: TaskSubmission,
  user: UserId,
  below?: { parent: Pick<TaskRow, 'id' | 'root_id'>; key: string },
): Promise<TaskRow> {
  const { db, pool } = context;
  const kind = KINDS[submission.kind];
  const project = submission.spec.project === undefined ? undefined : await findProject(db, submission.spec.project);
  if (project && submission.spec.commit === undefined)
    throw new CodedError('api.bad_request', `a task of project ${project.name} must name a commit`, { next: 'helix test' });
  const spec = { ...submission.spec, ...(project && { project: project.id }) } as never;
  const onlyWorker = submission.worker === undefined ? undefined : findWorker(pool.workers(), submission.worker);

  const job = kind.leafJob(spec, { outputLimitBytes: context.outputLimitBytes });
  const id = newId('task');
  const task: NewTask = {
    id,
    root: below?.parent.root_id ?? id,
    ...(below && { parent: below.parent.id, key: below.key }),
    ...(project && { project: project.id }),
    kind: submission.kind,
    name: submission.name ?? kind.describe(spec),
    isLeaf: job !== undefined,
    spec,
    ...(job && { job }),
    state: 'pending',
    priority: submission.priority,
    requires: [...new Set([...kind.requires(spec), ...submission.requires])],
    ...(onlyWorker && { onlyWorker }),
    policy: { ...submission.policy, acceptExit: 'zero' },
    ...(submission.deadlineMs !== undefined && { deadlineAt: new Date(Date.now() + submission.deadlineMs) }),
    createdBy: user,
  };
  const row = await db.tx(async (tx) => {
    const [row] = await insertTasks(tx, [task]);
    const known = row ?? (below && (await findChild(tx, below.parent.id, below.key)));
    if (!known) throw new Error(`task ${id} was not inserted`);
    if (!row) return known;
    await appendEvents(tx, [
      {
        root: row.root_id,
        task: id,
        ...(project && { project: project.id }),
        body: { type: 'task.created', kind: row.kind, name: row.name, state: row.state },
      },
    ]);
    return row;
  });
  context.wakeEvents();
  if (row.is_leaf) context.wakePlacement();
  else context.startDriver(row);
  return row;
}

function findWorker(workers: readonly { id: WorkerId; name: string }[], idOrName: string): WorkerId {
  const worker = workers.find((candidate) => candidate.id === idOrName || candidate.name === idOrName);
  if (!worker) throw new CodedError('worker.not_found', `there is no worker ${idOrName}`, { next: 'helix workers list' });
  return worker.id;
}
