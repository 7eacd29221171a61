export type BreakerState = 'closed' | 'open' | 'trying';
export type BreakerEvent = 'trip' | 'let_one_try' | 'recover';

/** `closed` lets calls through, `open` refuses them, `trying` has let one through to learn how it goes. */
export const BREAKER_MOVES: Record<BreakerState, Partial<Record<BreakerEvent, BreakerState>>> = {
  closed: { trip: 'open', recover: 'closed' },
  open: { let_one_try: 'trying', recover: 'closed' },
  trying: { trip: 'open', recover: 'closed' },
};

export interface BreakerPolicy {
  /** Failures in a row that open it. */
  failures: number;
  /** How long it stays open the first time; doubles with every failed try. */
  restMs: number;
  longestRestMs: number;
}

export const USUAL_BREAKER: BreakerPolicy = { failures: 5, restMs: 15_000, longestRestMs: 300_000 };

/** Keeps callers away from a model that fails anyway. A value: every function returns the breaker after it. */
export interface Breaker {
  readonly state: BreakerState;
  readonly failuresInRow: number;
  /** When one call may try again; only in `open`. While `trying`, when the one that tries counts as lost. */
  readonly untilMs: number;
  readonly restMs: number;
}

export function closedBreaker(policy: BreakerPolicy): Breaker {
  return { state: 'closed', failuresInRow: 0, untilMs: 0, restMs: policy.restMs };
}

/** Asks to make a call. @returns the breaker after it and whether the call may be made; `waitMs` is how long the refusal lasts */
export function admit(breaker: Breaker, nowMs: number): { breaker: Breaker; waitMs: number } {
  if (breaker.state === 'closed') return { breaker, waitMs: 0 };
  if (nowMs < breaker.untilMs) return { breaker, waitMs: breaker.untilMs - nowMs };
  // The one that tries may die without telling: after another rest the next may.
  return {
    breaker: {
      ...breaker,
      state: move(breaker.state === 'trying' ? 'open' : breaker.state, 'let_one_try'),
      untilMs: nowMs + breaker.restMs,
    },
    waitMs: 0,
  };
}

export function succeeded(breaker: Breaker, policy: BreakerPolicy): Breaker {
  return { ...closedBreaker(policy), state: move(breaker.state, 'recover') };
}

/** @param isModelsFault whether the failure says something about the model: a wrong key or a cancelled call does not */
export function failed(breaker: Breaker, policy: BreakerPolicy, nowMs: number, isModelsFault: boolean): Breaker {
  if (!isModelsFault) return breaker.state === 'trying' ? { ...breaker, state: 'open', untilMs: nowMs } : breaker;
  const failuresInRow = breaker.failuresInRow + 1;
  if (breaker.state === 'closed' && failuresInRow < policy.failures) return { ...breaker, failuresInRow };
  // Answers to calls that were let through before it opened come in late: they do not prolong the rest.
  if (breaker.state === 'open') return { ...breaker, failuresInRow };
  const restMs = breaker.state === 'trying' ? Math.min(policy.longestRestMs, breaker.restMs * 2) : breaker.restMs;
  return { state: move(breaker.state, 'trip'), failuresInRow, untilMs: nowMs + restMs, restMs };
}

function move(from: BreakerState, event: BreakerEvent): BreakerState {
  const to = BREAKER_MOVES[from][event];
  if (to === undefined) throw new Error(`a breaker that is ${from} cannot ${event}`);
  return to;
}
