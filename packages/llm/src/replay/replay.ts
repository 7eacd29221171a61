import { CodedError } from '@helixcode/protocol/errors';
import { FREE } from '../cost.ts';
import type { ModelCapabilities, ModelEvent, ModelFailure, ModelPort } from '../model-port.ts';
import { type Difference, differences, tellDifference } from './difference.ts';
import { type Exchange, normalRequest, type Rewrite, type Transcript, type TranscriptHeader } from './transcript.ts';

export const REPLAY_PROVIDER = 'replay';

export interface ReplayOptions {
  /** The same as when it was recorded. */
  rewrites?: Rewrite[];
  /** Differences that do not matter, such as `inToolResults`. None when absent: a recording answers exactly what it was asked. */
  tolerate?: (difference: Difference) => boolean;
}

/** Texts of tool results: commands run anew take other times and print other numbers. */
export function inToolResults({ path, recorded, asked }: Difference): boolean {
  return /^messages\.\d+\.results\.\d+\.parts\.\d+\.text$/.test(path) && typeof recorded === 'string' && typeof asked === 'string';
}

/**
 * Plays a transcript through the port. Each recorded answer is given once, to the first request that asks for it, so that agents working side by side
 * may ask in another order than when it was recorded. Every `done` says that it is `replayed`, and costs nothing.
 *
 * A request that was not recorded ends with `model.replay_differs`, naming the first difference from the answer that was due.
 */
export function replayPort(transcript: Transcript, options: ReplayOptions = {}): ModelPort & { left(): number } {
  const { rewrites = [], tolerate = () => false } = options;
  const waiting = [...transcript.exchanges];
  return {
    provider: REPLAY_PROVIDER,
    left: () => waiting.length,

    async *stream(request, signal): AsyncGenerator<ModelEvent> {
      if (signal.aborted) return yield cancelled();
      const asked = normalRequest(request, rewrites);
      const differenceFrom = (exchange: Exchange): Difference | undefined => {
        for (const difference of differences(exchange.request, asked)) if (!tolerate(difference)) return difference;
        return undefined;
      };
      const place = waiting.findIndex((exchange) => differenceFrom(exchange) === undefined);
      const found = waiting[place];
      if (found === undefined)
        return yield refusedStream(waiting[0] ? notRecorded(differenceFrom(waiting[0])) : allGiven(transcript.exchanges.length));
      waiting.splice(place, 1);
      yield* playExchange(found, signal);
    },

    capabilities: () => capabilitiesOf(transcript.header),

    price: () => FREE,

    validateConfig: () => Promise.resolve({ problems: [], isKeyChecked: false, models: [REPLAY_PROVIDER] }),
  };
}

/** The answer of an exchange as it came, marked as replayed. */
export function* playExchange({ events }: Exchange, signal: AbortSignal): Generator<ModelEvent> {
  for (const event of events) {
    if (signal.aborted) return yield cancelled();
    yield toLive(event);
  }
}

/** What the recorded model could do; of a transcript that cannot be read nothing is known. */
export function capabilitiesOf(header: TranscriptHeader | undefined): ModelCapabilities {
  return {
    isKnown: header !== undefined,
    contextTokens: undefined,
    maxOutputTokens: undefined,
    tools: true,
    reasoning: true,
    images: false,
    structuredOutput: 'prompt',
    ...header?.capabilities,
    promptCache: 'none',
  };
}

export function refusedStream(error: CodedError): ModelFailure {
  return { type: 'error', error, partial: { role: 'assistant', parts: [] } };
}

function cancelled(): ModelFailure {
  return refusedStream(new CodedError('model.cancelled', 'the replayed call was cancelled'));
}

function toLive(event: Exchange['events'][number]): ModelEvent {
  if (event.type === 'usage') return { ...event, costUsd: 0 };
  return event.type === 'done' ? { ...event, costUsd: 0, replayed: true } : event;
}

const RECORD_AGAIN = 'record it again: helix models record';

function allGiven(recordedCalls: number): CodedError {
  return new CodedError('model.replay_differs', `the recording has ${recordedCalls} answers, all of them given`, { next: RECORD_AGAIN });
}

/** @param difference the first one from the recorded request that is nearest; absent where nothing was recorded at all */
export function notRecorded(difference: Difference | undefined): CodedError {
  const why = difference === undefined ? 'the transcript has no answers' : tellDifference(difference);
  return new CodedError('model.replay_differs', `this request was not recorded: ${why}`, {
    next: RECORD_AGAIN,
    ...(difference && { details: { path: difference.path } }),
  });
}
