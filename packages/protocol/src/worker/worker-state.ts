export const WORKER_STATES = [
  'new',
  'probing',
  'installing',
  'connecting',
  'up',
  'degraded',
  'suspect',
  'lost',
  'blocked',
  'removed',
] as const;
/** How the server stands with a worker's machine. Whether it may be given work is `WorkerAdmission`, a separate fact. */
export type WorkerState = (typeof WORKER_STATES)[number];

export type WorkerCommand =
  | 'probe'
  | 'install'
  | 'connect'
  | 'welcome'
  | 'missBeat'
  | 'beat'
  | 'drop'
  | 'giveUp'
  | 'block'
  | 'unblock'
  | 'remove';

/**
 * Every move of a worker's connectivity. `degraded` has missed one or two beats and gets no new work; `suspect` has no
 * link, is dialled again, and its jobs are presumed running; `lost` has been silent for longer than `lostAfter`;
 * `blocked` waits for a person (a changed host key, a refused login, a full disk) and is never dialled by itself.
 */
export const WORKER_MOVES: Record<WorkerState, Partial<Record<WorkerCommand, WorkerState>>> = {
  new: { probe: 'probing', connect: 'connecting', block: 'blocked', remove: 'removed' },
  probing: { install: 'installing', connect: 'connecting', drop: 'suspect', block: 'blocked', remove: 'removed' },
  installing: { connect: 'connecting', drop: 'suspect', block: 'blocked', remove: 'removed' },
  connecting: { welcome: 'up', drop: 'suspect', block: 'blocked', remove: 'removed' },
  up: { missBeat: 'degraded', drop: 'suspect', block: 'blocked', remove: 'removed' },
  degraded: { beat: 'up', drop: 'suspect', block: 'blocked', remove: 'removed' },
  suspect: { probe: 'probing', connect: 'connecting', giveUp: 'lost', block: 'blocked', remove: 'removed' },
  lost: { probe: 'probing', connect: 'connecting', block: 'blocked', remove: 'removed' },
  blocked: { unblock: 'suspect', remove: 'removed' },
  removed: {},
};

export function workerStatesBefore(command: WorkerCommand): WorkerState[] {
  return WORKER_STATES.filter((state) => command in WORKER_MOVES[state]);
}

/** Whether new work may be placed: `draining` finishes what it has, `maintenance` is drained and stays so until opened. */
export const WORKER_ADMISSIONS = ['open', 'draining', 'maintenance', 'disabled'] as const;
export type WorkerAdmission = (typeof WORKER_ADMISSIONS)[number];
