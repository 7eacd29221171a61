import { APICallError, type LanguageModelV4, type LanguageModelV4CallOptions, type LanguageModelV4StreamPart } from '@ai-sdk/provider';
import { CodedError } from '@helixcode/protocol/errors';
import {
  type AssistantMessage,
  type Ending,
  type JsonObject,
  type ModelEvent,
  type ModelUsage,
  NO_USAGE,
  type ReasoningPart,
  type TextPart,
  toolCallsOf,
  type VendorState,
} from '../model-port.ts';
import { type VendorCall, vendorError } from './vendor-error.ts';

type Finish = Extract<LanguageModelV4StreamPart, { type: 'finish' }>;

/** One call, ready to be sent. */
export interface SdkCall {
  model: LanguageModelV4;
  options: Omit<LanguageModelV4CallOptions, 'abortSignal'>;
  vendor: VendorCall;
  /** Silence after which the stream counts as cut. */
  silenceMs: number;
  /** Whether the vendor gives a reason for every ending. */
  givesReason: boolean;
  /** Whether the answer was asked for as JSON. */
  wantsJson: boolean;
  /** The price of the call: from the vendor's own bill where it sends one. */
  costUsd(usage: ModelUsage, finish: Finish): number | undefined;
}

/** Runs one call of the SDK as a stream of our events, with exactly one end. */
export async function* streamSdk(call: SdkCall, signal: AbortSignal): AsyncGenerator<ModelEvent> {
  const answer = new Answer();
  // Ours, so that a caller who leaves the loop closes the connection too.
  const hangUp = new AbortController();
  const anyEnd = AbortSignal.any([signal, hangUp.signal]);
  try {
    signal.throwIfAborted();
    const { stream } = await withinSilence(call.model.doStream({ ...call.options, abortSignal: anyEnd }), call.silenceMs, anyEnd);
    const reader = stream.getReader();
    while (true) {
      const { done, value } = await withinSilence(reader.read(), call.silenceMs, anyEnd);
      if (done) break;
      if (value.type === 'error') throw value.error;
      yield* answer.take(value);
    }
    yield* answer.end(call);
  } catch (error) {
    yield { type: 'error', error: errorOf(error, call, signal), partial: answer.partial() };
  } finally {
    hangUp.abort();
  }
}

class Silence extends Error {}

/** @throws Silence when nothing comes for that long; the reason of the signal when it is aborted */
async function withinSilence<Value>(promise: Promise<Value> | PromiseLike<Value>, silenceMs: number, signal: AbortSignal): Promise<Value> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => reject(new Silence()), silenceMs);
  try {
    return await Promise.race([promise, interrupted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** The answer as it grows. */
class Answer {
  readonly #parts: (AssistantMessage['parts'][number] & { blockId?: string })[] = [];
  readonly #warnings: string[] = [];
  #finish: Finish | undefined;

  *take(part: LanguageModelV4StreamPart): Generator<ModelEvent> {
    switch (part.type) {
      case 'stream-start':
        for (const warning of part.warnings) {
          if (warning.type === 'unsupported')
            this.#warnings.push(`${warning.feature} is not supported${warning.details ? `: ${warning.details}` : ''}`);
          else if (warning.type === 'other' || warning.type === 'deprecated') this.#warnings.push(warning.message);
        }
        break;
      case 'text-start':
      case 'text-delta':
      case 'text-end':
        this.#grow('text', part);
        if (part.type === 'text-delta' && part.delta !== '') yield { type: 'text', text: part.delta };
        break;
      case 'reasoning-start':
      case 'reasoning-delta':
      case 'reasoning-end':
        this.#grow('reasoning', part);
        if (part.type === 'reasoning-delta' && part.delta !== '') yield { type: 'reasoning', text: part.delta };
        break;
      case 'tool-input-start':
        yield { type: 'tool_call_start', callId: part.id, tool: part.toolName };
        break;
      case 'tool-input-delta':
        if (part.delta !== '') yield { type: 'tool_call_delta', callId: part.id, argumentsText: part.delta };
        break;
      case 'tool-call': {
        const call = {
          type: 'tool_call' as const,
          callId: this.#freshId(part.toolCallId),
          tool: part.toolName,
          argumentsText: part.input,
          ...stateOf(part),
        };
        this.#parts.push(call);
        break;
      }
      case 'finish':
        this.#finish = part;
        break;
    }
  }

  *end(call: SdkCall): Generator<ModelEvent> {
    const finish = this.#finish;
    const { unified, raw } = finish?.finishReason ?? { unified: 'interrupted', raw: undefined };
    // Whatever an adapter makes of it: where the vendor gave no reason for the end, the end did not come.
    if (finish === undefined || unified === 'interrupted' || (raw === undefined && call.givesReason)) {
      throw cutError(call.vendor);
    }
    if (unified === 'error')
      throw new CodedError('model.vendor_failed', `${call.vendor.provider} ended the answer of ${call.vendor.model} with: ${raw}`, {
        next: 'try again',
      });
    const message = this.message();
    if (call.wantsJson && unified === 'stop') requireJson(message, call);
    const usage = usageOf(finish);
    const costUsd = call.costUsd(usage, finish);
    for (const made of toolCallsOf(message)) yield { type: 'tool_call', call: made };
    yield { type: 'usage', usage, costUsd };
    yield { type: 'done', ending: endingOf(unified, message), message, usage, costUsd, warnings: this.#warnings };
  }

  /** What a cut answer leaves: adapters make a call of whatever arrived of it, and an answer that was cut orders nothing. */
  partial(): AssistantMessage {
    return { role: 'assistant', parts: this.message().parts.filter(({ type }) => type !== 'tool_call') };
  }

  message(): AssistantMessage {
    const parts = this.#parts.map(({ blockId: _, ...part }) => part as AssistantMessage['parts'][number]);
    return {
      role: 'assistant',
      parts: parts.filter((part) => part.type === 'tool_call' || part.text !== '' || part.vendorState !== undefined),
    };
  }

  #grow(type: 'text' | 'reasoning', part: { id: string; delta?: string; providerMetadata?: unknown }): void {
    const blockId = `${type}-${part.id}`;
    const known = this.#parts.findLast((candidate) => candidate.blockId === blockId) as (TextPart | ReasoningPart) | undefined;
    const block: (TextPart | ReasoningPart) & { blockId?: string } = known ?? { type, text: '', blockId };
    if (!known) this.#parts.push(block);
    block.text += part.delta ?? '';
    // Signatures come in pieces: what is told later of the same vendor is added to what is known.
    for (const [vendor, state] of Object.entries(stateOf(part).vendorState ?? {})) {
      block.vendorState = { ...block.vendorState, [vendor]: { ...block.vendorState?.[vendor], ...state } };
    }
  }

  /** Some servers give two calls of one answer the same id, or none. */
  #freshId(given: string): string {
    const base = given === '' ? 'call' : given;
    let id = base;
    for (let count = 2; this.#parts.some((part) => part.type === 'tool_call' && part.callId === id); count++) id = `${base}-${count}`;
    return id;
  }
}

function stateOf(part: { providerMetadata?: unknown }): { vendorState?: VendorState } {
  if (part.providerMetadata === undefined) return {};
  // A copy by way of JSON: kept in a database, it must come back as it went.
  const state = JSON.parse(JSON.stringify(part.providerMetadata)) as Record<string, JsonObject>;
  return Object.values(state).some((fields) => Object.values(fields).some((value) => value !== null)) ? { vendorState: state } : {};
}

function usageOf({ usage: { inputTokens, outputTokens } }: Finish): ModelUsage {
  return {
    inputTokens: inputTokens.total ?? NO_USAGE.inputTokens,
    cachedTokens: inputTokens.cacheRead ?? 0,
    cacheWriteTokens: inputTokens.cacheWrite ?? 0,
    outputTokens: outputTokens.total ?? 0,
    reasoningTokens: outputTokens.reasoning ?? 0,
  };
}

function endingOf(unified: Finish['finishReason']['unified'], message: AssistantMessage): Ending {
  if (unified === 'length') return 'length';
  if (unified === 'content-filter') return 'filtered';
  // Several servers say "stop" after tool calls; what they sent decides.
  if (message.parts.some((part) => part.type === 'tool_call')) return 'tool_calls';
  return unified === 'stop' ? 'stop' : 'other';
}

function requireJson(message: AssistantMessage, { vendor }: SdkCall): void {
  const text = message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  if (text === '' && message.parts.some((part) => part.type === 'tool_call')) return;
  try {
    JSON.parse(text);
  } catch {
    throw new CodedError('model.bad_response', `${vendor.provider}/${vendor.model} was asked for JSON and answered something else`, {
      next: 'try again, or choose a model whose structured output is enforced: helix models list',
    });
  }
}

function cutError({ provider, model }: VendorCall): CodedError {
  return new CodedError('model.stream_cut', `${provider} closed the stream of ${model} before its end`, { next: 'try again' });
}

function errorOf(error: unknown, { vendor, silenceMs }: SdkCall, signal: AbortSignal): CodedError {
  const name = `${vendor.provider}/${vendor.model}`;
  if (signal.aborted) return new CodedError('model.cancelled', `the call to ${name} was cancelled`);
  if (error instanceof CodedError) return error;
  if (error instanceof Silence) {
    return new CodedError('model.stream_cut', `${name} sent nothing for ${silenceMs / 1000} s`, {
      next: 'try again',
      details: { silenceMs },
    });
  }
  if (APICallError.isInstance(error) && error.statusCode !== undefined && error.statusCode >= 400) {
    const body = error.responseBody ?? error.message;
    return vendorError({ status: error.statusCode, headers: new Headers(error.responseHeaders), body }, vendor);
  }
  const cut = connectionProblem(error);
  if (cut === 'reset')
    return new CodedError('model.stream_cut', `the connection to ${vendor.provider} broke while ${vendor.model} was answering`, {
      next: 'try again',
    });
  if (cut !== undefined) {
    return new CodedError('model.unreachable', `${vendor.provider} could not be reached: ${cut}`, {
      next: `helix models test --models ${name}`,
      details: { provider: vendor.provider },
    });
  }
  if (error instanceof Error && /ended without a finish reason/.test(error.message)) return cutError(vendor);
  if (isUnreadable(error)) {
    return new CodedError('model.bad_response', `${name} sent something that is not its own format`, {
      next: `helix models test --models ${name}`,
    });
  }
  // What is left was told by the vendor inside a stream, as an object, or as an error made of it.
  return vendorError({ body: error instanceof Error ? told(error) : typeof error === 'string' ? error : JSON.stringify(error) }, vendor);
}

/** The vendor's own words behind an error of the SDK. */
function told(error: Error): string {
  const { data, responseBody } = error as Error & { data?: unknown; responseBody?: string };
  return `${error.message}${data === undefined ? (responseBody === undefined ? '' : ` ${responseBody}`) : ` ${JSON.stringify(data)}`}`;
}

/** Whether an error, or one it was made of, says that the other side is away (which), or went away in mid-stream (`reset`). */
function connectionProblem(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 6; at = at.cause, depth++) {
    const { code, message } = at as NodeJS.ErrnoException;
    if (
      code === 'ECONNRESET' ||
      code === 'ERR_STREAM_PREMATURE_CLOSE' ||
      code === 'EPIPE' ||
      message === 'terminated' ||
      message === 'aborted'
    )
      return 'reset';
    if (
      code === 'ECONNREFUSED' ||
      code === 'ENOTFOUND' ||
      code === 'EAI_AGAIN' ||
      code === 'ETIMEDOUT' ||
      code === 'EHOSTUNREACH' ||
      code === 'ENETUNREACH'
    )
      return code;
    if (code?.startsWith('CERT_') || code?.includes('SELF_SIGNED') || code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE') return code;
  }
  return undefined;
}

function isUnreadable(error: unknown): boolean {
  return (
    (error instanceof Error &&
      /^AI_(JSONParse|TypeValidation|InvalidResponseData|EmptyResponseBody|NoContentGenerated)Error$|^SyntaxError$/.test(error.name)) ||
    (APICallError.isInstance(error) && error.statusCode !== undefined && error.statusCode < 400)
  );
}
