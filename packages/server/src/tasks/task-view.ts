import type { AttemptView, TaskDetail, TaskView } from '@helixcode/protocol/api/views';
import type { WorkerId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { AttemptRow, TaskRow, TaskSummaryRow } from './task-row.ts';

/** What the views need to know of workers. */
export interface WorkerNames {
  nameOfWorker(id: WorkerId): string;
  /** Whether the worker's link is up: without it what runs there is only presumed to run. */
  isConnected(id: WorkerId): boolean;
}

export function viewTask(row: TaskSummaryRow, attempt: AttemptRow | undefined, workers: WorkerNames): TaskView {
  return {
    id: row.id,
    root: row.root_id,
    ...(row.parent_id !== null && { parent: row.parent_id }),
    kind: row.kind,
    name: row.name,
    state: row.state,
    ...(row.project_id !== null && { project: row.project_id }),
    priority: row.priority,
    requires: row.requires,
    ...(row.waiting_for !== null && { waitingFor: row.waiting_for }),
    ...(row.pause !== null && row.state === 'paused' && { pausedBecause: row.pause.reason }),
    ...(row.progress !== null && { progress: row.progress }),
    ...(row.failure !== null && { failure: row.failure }),
    ...(row.result !== null && { result: row.result }),
    createdAt: row.created_at.toISOString(),
    ...(row.started_at && { startedAt: row.started_at.toISOString() }),
    ...(row.finished_at && { finishedAt: row.finished_at.toISOString() }),
    ...(attempt && { attempt: viewAttempt(attempt, workers) }),
  };
}

export function viewAttempt(row: AttemptRow, workers: WorkerNames): AttemptView {
  return {
    id: row.id,
    number: row.number,
    worker: row.worker_id,
    workerName: workers.nameOfWorker(row.worker_id),
    state: row.state,
    unknown: !isOver(row.state) && !workers.isConnected(row.worker_id),
    ...(row.fenced !== null && { fenced: row.fenced }),
    ...(row.restore !== null && { restoredFrom: row.restore.number }),
    ...(row.exit_code !== null && { exitCode: row.exit_code }),
    ...(row.reason !== null && { reason: row.reason }),
    streams: row.streams,
    assignedAt: row.assigned_at.toISOString(),
    ...(row.started_at && { startedAt: row.started_at.toISOString() }),
    ...(row.finished_at && { finishedAt: row.finished_at.toISOString() }),
    ...(row.wall_ms !== null && { wallMs: row.wall_ms }),
    ...(row.cpu_ms !== null && { cpuMs: row.cpu_ms }),
    ...(row.prepare_ms !== null && { prepareMs: row.prepare_ms }),
  };
}

export function viewTree(task: TaskRow, tree: TaskSummaryRow[], attempts: AttemptRow[], workers: WorkerNames): TaskDetail {
  const byTask = new Map<string, AttemptRow[]>();
  for (const attempt of attempts) byTask.set(attempt.task_id, [...(byTask.get(attempt.task_id) ?? []), attempt]);
  const view = (row: TaskSummaryRow): TaskView => viewTask(row, byTask.get(row.id)?.at(-1), workers);
  const below = new Set<string>([task.id]);
  const descendants: TaskSummaryRow[] = [];
  for (const row of tree) {
    if (row.parent_id === null || !below.has(row.parent_id)) continue;
    below.add(row.id);
    descendants.push(row);
  }
  return {
    ...view(task),
    spec: task.spec,
    attempts: (byTask.get(task.id) ?? []).map((attempt) => viewAttempt(attempt, workers)),
    tree: descendants.map(view),
  };
}
