export const TASK_STATES = ['blocked', 'pending', 'running', 'paused', 'completed', 'failed', 'cancelled'] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** `block` is the `retry` of one that still waits for others: what it needs is to be made first, as before it was cancelled. */
export type TaskCommand = 'unblock' | 'claim' | 'complete' | 'fail' | 'retry' | 'block' | 'pause' | 'resume' | 'cancel';

/** Every move a task can make. A missing cell is a refused command; an empty row is a final state. */
export const TASK_MOVES: Record<TaskState, Partial<Record<TaskCommand, TaskState>>> = {
  blocked: { unblock: 'pending', complete: 'completed', cancel: 'cancelled' },
  pending: { claim: 'running', fail: 'failed', pause: 'paused', cancel: 'cancelled' },
  running: { complete: 'completed', fail: 'failed', retry: 'pending', pause: 'paused', cancel: 'cancelled' },
  paused: { resume: 'pending', cancel: 'cancelled' },
  failed: { retry: 'pending' },
  completed: {},
  cancelled: { retry: 'pending', block: 'blocked' },
};

/** The states `command` may start from: what a guarded update puts in its `where`. */
export function statesBefore(command: TaskCommand): TaskState[] {
  return TASK_STATES.filter((state) => command in TASK_MOVES[state]);
}

/** The states in which nothing more happens by itself. */
export const SETTLED_TASK_STATES: readonly TaskState[] = ['completed', 'failed', 'cancelled'];

export function isSettled(state: TaskState): boolean {
  return SETTLED_TASK_STATES.includes(state);
}
