import type { AgentConfig } from '@helixcode/protocol/config/agent-config';
import type { AttemptId, ProjectId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import { newId } from '@helixcode/protocol/ids';
import { taskPolicy } from '@helixcode/protocol/task/task-spec';
import type { WorkspaceSpec } from '@helixcode/protocol/worker/job';
import type { Db } from '../db/db.ts';
import type { NewTask, RestorePoint, TaskRow } from '../tasks/task-row.ts';

const SEAT_KEY = 'seat';
/** Nobody looks on: what it records is bounded by how often, and each is as small as what changed. */
const CHECKPOINT_EVERY_MS = 60_000;
const KEPT_CHECKPOINTS = 100;

/**
 * The seat of an agent: a leaf whose job only holds a checkout on a worker, so that the agent's files are placed, recorded, lost and
 * brought back as those of every other job. What the agent does is done in the checkout of its running attempt.
 *
 * @param restore a checkpoint whose files it begins with
 */
export function seatOf(parent: {
  id: TaskId;
  root: TaskId;
  project: ProjectId;
  priority: number;
  requires: string[];
  onlyWorker: WorkerId | null;
  workspace: WorkspaceSpec;
  sandbox: AgentConfig['sandbox'];
  outputLimitBytes: number;
  restore: RestorePoint | undefined;
}): NewTask {
  return {
    id: newId('task'),
    root: parent.root,
    parent: parent.id,
    key: SEAT_KEY,
    project: parent.project,
    kind: 'agent',
    name: 'workspace',
    isLeaf: true,
    spec: {},
    // The longest that every `sleep` takes.
    job: {
      command: 'exec sleep 2147483647',
      env: {},
      killGraceMs: 1_000,
      takesSlot: false,
      outputLimitBytes: parent.outputLimitBytes,
      workspace: parent.workspace,
      sandbox: parent.sandbox,
    },
    state: 'pending',
    priority: parent.priority,
    requires: [...parent.requires, ...(parent.sandbox.demand === 'full' ? ['sandbox:full'] : [])],
    ...(parent.onlyWorker && { onlyWorker: parent.onlyWorker }),
    policy: {
      ...taskPolicy.parse({
        maxAttempts: 100,
        replaceLost: 100,
        backoffMs: 200,
        checkpoint: { everyMs: CHECKPOINT_EVERY_MS, keep: KEPT_CHECKPOINTS },
      }),
      acceptExit: 'zero',
    },
    ...(parent.restore && { restore: parent.restore }),
  };
}

/** Where the files of an agent are, as long as that attempt counts. */
export interface Seat {
  task: TaskId;
  attempt: AttemptId;
  worker: WorkerId;
}

export async function findSeatTask(db: Db, agent: TaskId): Promise<Pick<TaskRow, 'id' | 'state' | 'failure' | 'waiting_for'> | undefined> {
  const { rows } = await db.query<Pick<TaskRow, 'id' | 'state' | 'failure' | 'waiting_for'>>(
    `select id, state, failure, waiting_for from distributed_tasks where parent_id = $1 and key = 'seat'`,
    [agent],
  );
  return rows[0];
}

/** The seat of an agent, if it is ready; `undefined` while it waits for a worker, or its worker is out of reach. */
export async function findSeat(db: Db, agent: TaskId): Promise<Seat | undefined> {
  const { rows } = await db.query<Seat>(
    `select t.id as task, a.id as attempt, a.worker_id as worker
       from distributed_tasks t join task_attempts a on a.task_id = t.id
      where t.parent_id = $1 and t.key = 'seat' and a.state = 'running' and not a.is_complete and a.fenced is null
      order by a.number desc limit 1`,
    [agent],
  );
  return rows[0];
}
