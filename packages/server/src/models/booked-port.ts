import { costUsd, estimateTokens, worstCostUsd } from '@helixcode/llm/cost';
import type { ModelDone, ModelEvent, ModelPort, ModelPrice, ModelRequest } from '@helixcode/llm/model-port';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { newId, type ServerId } from '@helixcode/protocol/ids';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { Budget } from './budget.ts';
import { toNanoUsd } from './nano-usd.ts';
import { type OpenRequests, REQUEST_LEASE_MS } from './open-requests.ts';
import { type Outcome, settleRequest } from './request-sql.ts';
import { reserveCall } from './reserve-call.ts';

/** The answer's limit of a call that has none of its own, where the model can write more: what is set aside grows with it. */
const USUAL_MAX_OUTPUT_TOKENS = 32_000;
/** Less is no answer: better that the server refuses it. */
const LEAST_OUTPUT_TOKENS = 1_024;
/** More than the dearest usual count of one picture at the large vendors. */
const IMAGE_TOKENS = 6_000;

export interface Bookkeeping {
  db: Db;
  log: Logger;
  server: ServerId;
  open: OpenRequests;
  /** Milliseconds since some fixed moment. */
  nowMs(): number;
}

export interface Booking {
  run: string | undefined;
  user: Parameters<typeof reserveCall>[1]['user'];
  purpose: string;
  budgets: readonly Budget[];
}

/**
 * A provider whose every call is written down and paid for beforehand, and booked with what it really took before its stream is over.
 * A call that is refused for lack of budget ends with `budget.spent`, and the provider was not asked.
 */
export function bookedPort(port: ModelPort, books: Bookkeeping, booking: Booking): ModelPort {
  return {
    provider: port.provider,
    capabilities: (model) => port.capabilities(model),
    price: (model) => port.price(model),
    validateConfig: (signal) => port.validateConfig(signal),

    async *stream(asked, signal): AsyncGenerator<ModelEvent> {
      const price = port.price(asked.model);
      const request = withLimit(asked, port, price, booking.budgets);
      const worst = worstOf(request, price);
      const id = newId('request');
      try {
        await reserveCall(
          books.db,
          {
            id,
            run: booking.run,
            user: booking.user,
            purpose: booking.purpose,
            provider: port.provider,
            model: request.model,
            reservedNanoUsd: worst.nanoUsd,
            reservedTokens: worst.tokens,
            isPriced: price !== undefined,
            server: books.server,
            leaseMs: REQUEST_LEASE_MS,
          },
          booking.budgets,
        );
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        return yield { type: 'error', error, partial: { role: 'assistant', parts: [] } };
      }

      books.open.add(id);
      const wasAbortedBefore = signal.aborted;
      const beganMs = books.nowMs();
      let firstPieceMs: number | undefined;
      // Whoever stops listening hangs up, and the vendor does not tell what it had written by then.
      let outcome: Outcome = { state: 'unknown' };
      let end: ModelEvent | undefined;
      let settling: Promise<void> | undefined;
      try {
        for await (const event of port.stream(request, signal)) {
          if (event.type === 'done') outcome = outcomeOf(event, price);
          else if (event.type === 'error') outcome = outcomeOfFailure(event.error, firstPieceMs !== undefined, wasAbortedBefore);
          else {
            firstPieceMs ??= books.nowMs() - beganMs;
            yield event;
            continue;
          }
          end = event;
          break;
        }
        settling = settle(books, id, booked());
        // Who is told does something with it meanwhile. What was set aside is set aside until then.
        if (end) yield end;
      } finally {
        await (settling ?? settle(books, id, booked()));
      }

      function booked(): Outcome {
        return { ...outcome, ...(firstPieceMs !== undefined && { firstPieceMs }), tookMs: books.nowMs() - beganMs };
      }
    },
  };
}

/** Where it fails the request stays open, and is given up on when its lease ends: booked too high rather than not at all. */
async function settle({ db, log, open }: Bookkeeping, id: Parameters<typeof settleRequest>[1], outcome: Outcome): Promise<void> {
  try {
    await settleRequest(db, id, outcome);
  } catch (error) {
    log.warn({ err: error, request: id }, 'the outcome of a call of a model could not be booked');
  } finally {
    open.remove(id);
  }
}

/**
 * What is set aside holds only when the answer has a limit: where a budget depends on it, a call that has none is given one. Elsewhere it is
 * left to the model, for some servers refuse a limit that does not fit beside the prompt.
 */
function withLimit(request: ModelRequest, port: ModelPort, price: ModelPrice | undefined, budgets: readonly Budget[]): ModelRequest {
  const isBilled = price === undefined || price.inputUsd > 0 || price.outputUsd > 0;
  const isLimited = budgets.some(({ capNanoUsd, capTokens }) => capTokens !== undefined || (capNanoUsd !== undefined && isBilled));
  if (request.maxOutputTokens !== undefined || !isLimited) return request;
  const { maxOutputTokens, contextTokens } = port.capabilities(request.model);
  const room = contextTokens === undefined ? USUAL_MAX_OUTPUT_TOKENS : contextTokens - promptTokensOf(request);
  return {
    ...request,
    maxOutputTokens: Math.max(LEAST_OUTPUT_TOKENS, Math.min(maxOutputTokens ?? USUAL_MAX_OUTPUT_TOKENS, USUAL_MAX_OUTPUT_TOKENS, room)),
  };
}

/** The most a call can take: all its prompt at the dearest rate, and the longest answer it may get. */
function worstOf(request: ModelRequest, price: ModelPrice | undefined): { nanoUsd: number; tokens: number } {
  const promptTokens = promptTokensOf(request);
  const outputTokens = request.maxOutputTokens ?? USUAL_MAX_OUTPUT_TOKENS;
  return {
    tokens: promptTokens + outputTokens,
    nanoUsd: price === undefined ? 0 : toNanoUsd(worstCostUsd(promptTokens, outputTokens, price)),
  };
}

function promptTokensOf({ messages, tools, output }: ModelRequest): number {
  let images = 0;
  const text = JSON.stringify({ messages, tools, output }, (key, value: unknown) => {
    if (key !== 'base64') return value;
    images++;
    return undefined;
  });
  return estimateTokens(text) + images * IMAGE_TOKENS;
}

function outcomeOf(done: ModelDone, price: ModelPrice | undefined): Outcome {
  const { usage } = done;
  // Every call has a prompt: a vendor that counts none has not told its usage.
  if (usage.inputTokens === 0 && !done.replayed) return { state: 'unknown' };
  const usd = done.costUsd ?? (price && costUsd(usage, price)) ?? 0;
  return { state: 'done', usage, booked: { nanoUsd: toNanoUsd(usd), tokens: usage.inputTokens + usage.outputTokens } };
}

/** Refusals: the vendor did no work, whatever its words for it. */
const REFUSALS = new Set<ErrorCode>([
  'model.auth_refused',
  'model.config_invalid',
  'model.context_overflow',
  'model.quota_spent',
  'model.rate_limited',
  'model.replay_differs',
  'model.request_refused',
  'model.unknown',
  'model.unreachable',
]);

/**
 * A call that was never sent, was refused, or was answered with an HTTP error before any piece came costs nothing. A connection that broke, a cancelled call and
 * whatever failed in mid-answer are billed by some vendors and not by others, and none tells: unknown.
 */
function outcomeOfFailure(error: CodedError, isBegun: boolean, wasAbortedBefore: boolean): Outcome {
  const failure = error.toFact();
  const isFree = wasAbortedBefore || (!isBegun && (REFUSALS.has(error.code) || typeof error.details?.['status'] === 'number'));
  return isFree ? { state: 'failed', failure, booked: { nanoUsd: 0, tokens: 0 } } : { state: 'unknown', failure };
}
