import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, ProjectId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { DividedKind } from '@helixcode/protocol/task/task-spec';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { AttemptRow, LeafPolicy, Progress, TaskRow } from '../task-row.ts';
import type { ProjectFiles } from '../testing/test-runner.ts';

/** A subtask that a driver wants; `key` is unique among the children, so that asking twice makes one. */
export interface ChildPlan {
  key: string;
  name: string;
  /** Absent: it stays blocked until the driver gives it a job. */
  job?: JobSpec;
  /** What a person may want to see of it. */
  spec: unknown;
  requires?: string[];
  expectedMs?: number;
  mayCopy?: boolean;
  maxSlots?: number;
  policy: LeafPolicy;
  /** Raised above its siblings, e.g. a retry that holds up the end of the run. */
  priorityBoost?: number;
  /** Keys of siblings it comes after. */
  needs?: string[];
  /** Already known: it is born completed. */
  result?: unknown;
}

/** What a driver decides after one look. Everything in it is written in one transaction. */
export interface Advance {
  add?: ChildPlan[];
  /** Blocked children that may go now, with what they run. */
  unblock?: { child: TaskId; job: JobSpec }[];
  /** Blocked children that need not or cannot run. */
  settle?: { child: TaskId; state: 'completed' | 'cancelled'; result?: unknown; failure?: ErrorFact }[];
  /** What a child's outcome amounts to, for people. */
  results?: { child: TaskId; result: unknown }[];
  documents?: { task: TaskId; name: string; body: string }[];
  memo?: Record<string, unknown>;
  progress?: Progress;
  /** The end of the task itself. */
  outcome?: { state: 'completed'; result: unknown } | { state: 'failed'; failure: ErrorFact; result?: unknown };
  /** Look again after this long even if nothing happens; a minute when absent. */
  lookAgainMs?: number;
  /** For a kind that only counts its children: ends within `ms` are looked at together, unless `ends` of them have come. */
  rest?: { ms: number; ends: number };
}

/** A look at a driven task. */
export interface View<Spec, Memo> {
  task: TaskRow;
  spec: Spec;
  memo: Memo;
  /** All children, in the order of creation. Read on demand: a parent of thousands of leaves may only need counts. */
  children(): Promise<TaskRow[]>;
  countChildren(): Promise<Partial<Record<TaskRow['state'], number>>>;
  attempts(child: TaskId): Promise<AttemptRow[]>;
  /** All attempts of the tree. */
  treeAttempts(): Promise<AttemptRow[]>;
  /** A stream of an attempt, whole or its `lastBytes`; `undefined` when it does not exist. */
  readStream(attempt: AttemptId, stream: string, lastBytes?: number): Promise<Buffer | undefined>;
  readDocument(task: TaskId, name: string): Promise<string | undefined>;
  readChildDocuments(name: string): Promise<{ task_id: TaskId; body: string }[]>;
  projectFiles(project: ProjectId, commit: string): Promise<ProjectFiles>;
  /** Slots of the workers that are up, open and have these labels. */
  slotsFor(requires: readonly string[]): { slots: number; workers: number };
  timings: {
    read(project: ProjectId, runner: string): Promise<Map<string, number>>;
    write(project: ProjectId, runner: string, measured: Map<string, number>): Promise<void>;
  };
  buildCache: {
    find(key: string): Promise<string | undefined>;
    keep(key: string, blob: string, task: TaskId): Promise<void>;
  };
  nameOfWorker(id: WorkerId): string;
  outputLimitBytes: number;
}

/**
 * How tasks of a kind are divided, run and put together. A kind either makes one leaf of a task (`leafJob`), or drives
 * it: `advance` is called whenever something below the task has changed, and whenever the server starts. It must decide
 * from what it sees alone, since it may be called again after a crash at any point.
 */
export interface TaskKind<Spec = never, Memo = Record<string, unknown>> {
  readonly kind: DividedKind;
  /** One line for people. */
  describe(spec: Spec): string;
  /** Labels every worker of the task must have. */
  requires(spec: Spec): string[];
  /** The job of a task that is not divided; `undefined` when it is driven. */
  leafJob(spec: Spec, context: { outputLimitBytes: number }): JobSpec | undefined;
  advance(view: View<Spec, Memo>): Promise<Advance>;
}
