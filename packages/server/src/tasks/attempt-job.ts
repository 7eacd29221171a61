import type { TaskPolicy } from '@helixcode/protocol/task/task-spec';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { limitsOf } from './checkpoints.ts';
import type { RestorePoint } from './task-row.ts';

/**
 * What a worker is asked to run for one attempt: the job of the task, with the checkpoint it begins at and what the
 * task's policy says of checkpoints. It is the same each time it is made for one attempt.
 */
export function jobOfAttempt(job: JobSpec, policy: TaskPolicy, restore: RestorePoint | null): JobSpec {
  return {
    ...job,
    ...(restore && { env: { ...job.env, HELIX_CHECKPOINT: String(restore.number) } }),
    ...(job.workspace && restore && { workspace: { ...job.workspace, restore } }),
    ...(job.workspace &&
      policy.checkpoint && {
        checkpoint: { limits: limitsOf(policy), ...(policy.checkpoint.everyMs !== undefined && { everyMs: policy.checkpoint.everyMs }) },
      }),
    ...(policy.stopOnWorkerAfterMs !== undefined && { stopWithoutServerMs: policy.stopOnWorkerAfterMs }),
  };
}
