import { type CodedError, ERROR_CODES } from '@helixcode/protocol/errors';

export interface RetryPolicy {
  /** Calls in all, the first one included. */
  attempts: number;
  /** Upper bound of the first wait; it doubles with every attempt. */
  firstWaitMs: number;
  /** No wait is longer; a vendor that asks for more is not waited for. */
  longestWaitMs: number;
}

export const USUAL_RETRY: RetryPolicy = { attempts: 4, firstWaitMs: 1_000, longestWaitMs: 60_000 };

/**
 * How long to wait before the same call is made again.
 *
 * @param attempt calls made so far, at least 1
 * @param random  0 up to 1: spreads callers that failed together over the whole wait ("full jitter")
 * @returns `undefined` when it should not be made again: it cannot help, it was tried enough, or the vendor asks for more patience than there is
 */
export function retryWaitMs(error: CodedError, attempt: number, policy: RetryPolicy, random: number): number | undefined {
  if (!ERROR_CODES[error.code].retryable || attempt >= policy.attempts) return undefined;
  const asked = error.details?.['retryAfterMs'];
  if (typeof asked === 'number') return asked > policy.longestWaitMs ? undefined : asked;
  const bound = Math.min(policy.longestWaitMs, policy.firstWaitMs * 2 ** (attempt - 1));
  return Math.round(bound * random);
}
