import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { estimateTokens } from '../cost.ts';
import type { ModelEvent, ModelPort, ModelRequest } from '../model-port.ts';
import { admit, type Breaker, type BreakerPolicy, closedBreaker, failed, succeeded, USUAL_BREAKER } from './circuit-breaker.ts';
import { type RetryPolicy, retryWaitMs, USUAL_RETRY } from './retry.ts';
import { bucketPerMinute, giveBack, type TokenBucket, take } from './token-bucket.ts';

/** Time and chance, passed in so that tests are exact. */
export interface Surroundings {
  nowMs(): number;
  /** Resolves after that time, rejects when the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  random(): number;
}

export interface Target {
  port: ModelPort;
  model: string;
  /** What the vendor's account allows; unlimited when absent. */
  requestsPerMinute?: number;
  tokensPerMinute?: number;
}

/** What was done about a failure, for people to see. */
export type ResilienceNotice =
  | { type: 'waits'; target: string; waitMs: number; because: 'rate limit' }
  | { type: 'retries'; target: string; attempt: number; waitMs: number; error: CodedError }
  | { type: 'falls_back'; from: string; to: string; error: CodedError };

/** Failures another model may not have. A wrong request, an overflow or a cancelled call are the same everywhere. */
const FALLBACK_CODES = new Set<ErrorCode>([
  'model.auth_refused',
  'model.circuit_open',
  'model.config_invalid',
  'model.overloaded',
  'model.quota_spent',
  'model.rate_limited',
  'model.stream_cut',
  'model.unknown',
  'model.unreachable',
  'model.vendor_failed',
  'model.bad_response',
]);

/** Failures that tell something about the health of a model, for its breaker. */
const MODELS_FAULT = new Set<ErrorCode>([
  'model.overloaded',
  'model.stream_cut',
  'model.unreachable',
  'model.vendor_failed',
  'model.bad_response',
]);

/** Set aside of the token limit for an answer of unknown length. */
const USUAL_ANSWER_TOKENS = 2_000;

/**
 * Calls with patience: limits the rate, retries what may pass, keeps away from what is broken, and falls back to the next target. Shared by all
 * callers of a server, so that they share its limits.
 *
 * Once a piece of an answer was passed on, its failure is passed on too: a second answer would not continue the first. The caller decides.
 */
export class ResilientCaller {
  readonly #surroundings: Surroundings;
  readonly #retry: RetryPolicy;
  readonly #breaker: BreakerPolicy;
  readonly #breakers = new Map<string, Breaker>();
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(surroundings: Surroundings, policies: { retry?: RetryPolicy; breaker?: BreakerPolicy } = {}) {
    this.#surroundings = surroundings;
    this.#retry = policies.retry ?? USUAL_RETRY;
    this.#breaker = policies.breaker ?? USUAL_BREAKER;
  }

  /** @param targets the model and its fallbacks, the best first; `request.model` is replaced by each one's own */
  async *stream(
    targets: [Target, ...Target[]],
    request: Omit<ModelRequest, 'model'>,
    signal: AbortSignal,
    onNotice?: (notice: ResilienceNotice) => void,
  ): AsyncGenerator<ModelEvent> {
    for (const [index, target] of targets.entries()) {
      const next = targets[index + 1];
      const failure = yield* this.#tryTarget(target, { ...request, model: target.model }, signal, onNotice);
      if (failure === undefined) return;
      if (next === undefined || failure.isBegun || !FALLBACK_CODES.has(failure.event.error.code)) return yield failure.event;
      onNotice?.({ type: 'falls_back', from: nameOf(target), to: nameOf(next), error: failure.event.error });
    }
  }

  /** @returns the failure that is left when retrying did not help; `undefined` after a whole answer */
  async *#tryTarget(
    target: Target,
    request: ModelRequest,
    signal: AbortSignal,
    onNotice: ((notice: ResilienceNotice) => void) | undefined,
  ): AsyncGenerator<ModelEvent, { event: Extract<ModelEvent, { type: 'error' }>; isBegun: boolean } | undefined> {
    const name = nameOf(target);
    for (let attempt = 1; ; attempt++) {
      const refused = (error: CodedError) => ({
        event: { type: 'error' as const, error, partial: { role: 'assistant' as const, parts: [] } },
        isBegun: false,
      });
      const restMs = this.#askBreaker(name);
      if (restMs > 0) {
        return refused(
          new CodedError(
            'model.circuit_open',
            `${name} failed ${this.#breaker.failures} times in a row and is left alone for ${Math.ceil(restMs / 1000)} s`,
            {
              next: `helix models test --models ${name}`,
              details: { retryAfterMs: restMs },
            },
          ),
        );
      }
      const tokens = this.#tokensOf(request);
      try {
        await this.#waitForRate(target, tokens, signal, onNotice);
      } catch {
        this.#learn(name, false);
        return refused(cancelled(name));
      }

      let isBegun = false;
      let failure: Extract<ModelEvent, { type: 'error' }> | undefined;
      for await (const event of target.port.stream(request, signal)) {
        if (event.type === 'error') failure = event;
        else {
          isBegun = true;
          if (event.type === 'usage') this.#settle(name, tokens - event.usage.inputTokens - event.usage.outputTokens);
          if (event.type === 'done') this.#breakers.set(name, succeeded(this.#breakerOf(name), this.#breaker));
          yield event;
        }
      }
      if (failure === undefined) return undefined;
      this.#learn(name, MODELS_FAULT.has(failure.error.code));
      const waitMs = isBegun ? undefined : retryWaitMs(failure.error, attempt, this.#retry, this.#surroundings.random());
      if (waitMs === undefined) return { event: failure, isBegun };
      onNotice?.({ type: 'retries', target: name, attempt, waitMs, error: failure.error });
      try {
        await this.#surroundings.sleep(waitMs, signal);
      } catch {
        return refused(cancelled(name));
      }
    }
  }

  #askBreaker(name: string): number {
    const { breaker, waitMs } = admit(this.#breakerOf(name), this.#surroundings.nowMs());
    this.#breakers.set(name, breaker);
    return waitMs;
  }

  #learn(name: string, isModelsFault: boolean): void {
    this.#breakers.set(name, failed(this.#breakerOf(name), this.#breaker, this.#surroundings.nowMs(), isModelsFault));
  }

  #breakerOf(name: string): Breaker {
    return this.#breakers.get(name) ?? closedBreaker(this.#breaker);
  }

  #tokensOf(request: ModelRequest): number {
    return (
      estimateTokens(JSON.stringify(request.messages, (key, value: unknown) => (key === 'base64' ? undefined : value))) +
      (request.maxOutputTokens ?? USUAL_ANSWER_TOKENS)
    );
  }

  async #waitForRate(target: Target, tokens: number, signal: AbortSignal, onNotice?: (notice: ResilienceNotice) => void): Promise<void> {
    const name = nameOf(target);
    const waits = [
      this.#take(`${name} requests`, target.requestsPerMinute, 1),
      this.#take(`${name} tokens`, target.tokensPerMinute, tokens),
    ];
    const waitMs = Math.max(...waits);
    if (waitMs === 0) return;
    onNotice?.({ type: 'waits', target: name, waitMs, because: 'rate limit' });
    try {
      await this.#surroundings.sleep(waitMs, signal);
    } catch (error) {
      this.#give(`${name} requests`, 1);
      this.#give(`${name} tokens`, tokens);
      throw error;
    }
  }

  #take(key: string, perMinute: number | undefined, amount: number): number {
    if (perMinute === undefined) return 0;
    const nowMs = this.#surroundings.nowMs();
    const { bucket, waitMs } = take(this.#buckets.get(key) ?? bucketPerMinute(perMinute, nowMs), amount, nowMs);
    this.#buckets.set(key, bucket);
    return waitMs;
  }

  /** Corrects the estimate by what was used. */
  #settle(name: string, unusedTokens: number): void {
    this.#give(`${name} tokens`, unusedTokens);
  }

  #give(key: string, amount: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket) this.#buckets.set(key, giveBack(bucket, amount, this.#surroundings.nowMs()));
  }
}

/** The clock and chance of this machine. */
export const REAL_SURROUNDINGS: Surroundings = {
  nowMs: () => Date.now(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      signal.addEventListener('abort', onAbort, { once: true });
    }),
};

function nameOf({ port, model }: Target): string {
  return `${port.provider}/${model}`;
}

function cancelled(name: string): CodedError {
  return new CodedError('model.cancelled', `the call to ${name} was cancelled`);
}
