import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, ProjectId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { AttemptState } from '@helixcode/protocol/task/attempt-state';
import type { TaskKindName, TaskPolicy } from '@helixcode/protocol/task/task-spec';
import type { TaskState } from '@helixcode/protocol/task/task-state';
import type { JobSpec } from '@helixcode/protocol/worker/job';

export interface Progress {
  phase: string;
  done: number;
  total: number;
}

/** How the exit status of a leaf's command is taken: `any` leaves the judgement to the driver of its parent. */
export interface LeafPolicy extends TaskPolicy {
  acceptExit: 'zero' | 'any';
}

/** A checkpoint to begin at. */
export interface RestorePoint {
  number: number;
  commit: string;
}

/** Why a task is paused: a critical part of its tree has lost its worker. */
export interface TaskPause {
  reason: string;
  attempt: AttemptId;
}

/** A row of `distributed_tasks`. */
export interface TaskRow {
  id: TaskId;
  root_id: TaskId;
  parent_id: TaskId | null;
  key: string | null;
  project_id: ProjectId | null;
  kind: TaskKindName;
  name: string;
  is_leaf: boolean;
  spec: unknown;
  job: JobSpec | null;
  state: TaskState;
  priority: number;
  requires: string[];
  only_worker: WorkerId | null;
  expected_ms: number | null;
  may_copy: boolean;
  max_slots: number | null;
  policy: LeafPolicy;
  attempts: number;
  waiting_for: string | null;
  progress: Progress | null;
  result: unknown;
  failure: ErrorFact | null;
  /** Where the next attempt begins; null: at the commit of the job. */
  restore: RestorePoint | null;
  pause: TaskPause | null;
  memo: Record<string, unknown>;
  not_before: Date;
  deadline_at: Date | null;
  created_by: string | null;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

/** A row of `distributed_tasks` without what it is to do: that grows with the work, and lists are asked for often. */
export type TaskSummaryRow = Omit<TaskRow, 'spec' | 'job' | 'memo' | 'policy' | 'restore'>;

/** A row of `task_attempts`. */
export interface AttemptRow {
  id: AttemptId;
  task_id: TaskId;
  number: number;
  worker_id: WorkerId;
  state: AttemptState;
  exit_code: number | null;
  reason: ErrorFact | null;
  streams: Record<string, number>;
  wall_ms: number | null;
  cpu_ms: number | null;
  prepare_ms: number | null;
  outputs_blob: string | null;
  /** Its streams are not kept any longer. */
  output_removed_at: Date | null;
  restore: RestorePoint | null;
  /** Why it does not count at present. */
  fenced: ErrorFact | null;
  pause_asked: boolean;
  pause_waived: boolean;
  is_complete: boolean;
  is_copy: boolean;
  cancel_asked: boolean;
  assigned_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

/** What a new row needs; the rest has defaults. */
export interface NewTask {
  id: TaskId;
  root: TaskId;
  parent?: TaskId;
  key?: string;
  project?: ProjectId;
  kind: TaskKindName;
  name: string;
  isLeaf: boolean;
  spec: unknown;
  job?: JobSpec;
  state: TaskState;
  priority: number;
  requires: string[];
  onlyWorker?: WorkerId;
  expectedMs?: number;
  mayCopy?: boolean;
  maxSlots?: number;
  policy: LeafPolicy;
  deadlineAt?: Date;
  createdBy?: string;
  result?: unknown;
  /** Where the first attempt begins. */
  restore?: RestorePoint;
}
