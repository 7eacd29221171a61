export const ATTEMPT_STATES = ['assigned', 'preparing', 'running', 'exited', 'lost', 'refused', 'cancelled'] as const;
/**
 * One try of a leaf task on one worker. `exited` carries the exit status the worker read from disk; `lost` means that
 * the outcome will never be known (reboot, supervisor gone); `refused` means that the command never began, and why.
 */
export type AttemptState = (typeof ATTEMPT_STATES)[number];

/** What the worker may report next. A report that is not in the row repeats old news or is a fault; it moves nothing. */
export const ATTEMPT_MOVES: Record<AttemptState, readonly AttemptState[]> = {
  assigned: ['preparing', 'running', 'exited', 'lost', 'refused', 'cancelled'],
  preparing: ['running', 'exited', 'lost', 'refused', 'cancelled'],
  running: ['exited', 'lost', 'cancelled'],
  exited: [],
  lost: [],
  refused: [],
  cancelled: [],
};

export function isOver(state: AttemptState): boolean {
  return ATTEMPT_MOVES[state].length === 0;
}

/** The states from which `next` is a real move: the guard of the update. */
export function attemptStatesBefore(next: AttemptState): AttemptState[] {
  return ATTEMPT_STATES.filter((state) => ATTEMPT_MOVES[state].includes(next));
}
