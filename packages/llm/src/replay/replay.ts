import { CodedError } from '@helixcode/protocol/errors';
import { FREE } from '../cost.ts';
import type { ModelEvent, ModelPort } from '../model-port.ts';
import { type Difference, differences, tellDifference } from './difference.ts';
import { type Exchange, normalRequest, type Rewrite, type Transcript } from './transcript.ts';

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
      const refuse = (error: CodedError): ModelEvent => ({ type: 'error', error, partial: { role: 'assistant', parts: [] } });
      if (signal.aborted) return yield refuse(new CodedError('model.cancelled', 'the replayed call was cancelled'));
      const asked = normalRequest(request, rewrites);
      const differenceFrom = (exchange: Exchange): Difference | undefined => {
        for (const difference of differences(exchange.request, asked)) if (!tolerate(difference)) return difference;
        return undefined;
      };
      const place = waiting.findIndex((exchange) => differenceFrom(exchange) === undefined);
      const found = waiting[place];
      if (found === undefined) return yield refuse(missing(waiting[0] && differenceFrom(waiting[0]), transcript.exchanges.length));
      waiting.splice(place, 1);
      for (const event of found.events) {
        if (signal.aborted) return yield refuse(new CodedError('model.cancelled', 'the replayed call was cancelled'));
        yield toLive(event);
      }
    },

    capabilities: () => ({
      isKnown: true,
      contextTokens: undefined,
      maxOutputTokens: undefined,
      ...transcript.header.capabilities,
      promptCache: 'none',
    }),

    price: () => FREE,

    validateConfig: () => Promise.resolve({ problems: [], isKeyChecked: false, models: [REPLAY_PROVIDER] }),
  };
}

function toLive(event: Exchange['events'][number]): ModelEvent {
  if (event.type === 'usage') return { ...event, costUsd: 0 };
  return event.type === 'done' ? { ...event, costUsd: 0, replayed: true } : event;
}

function missing(difference: Difference | undefined, recordedCalls: number): CodedError {
  const next = 'record it again: helix models record';
  if (difference === undefined)
    return new CodedError('model.replay_differs', `the recording has ${recordedCalls} answers, all of them given`, { next });
  return new CodedError('model.replay_differs', `this request was not recorded: ${tellDifference(difference)}`, {
    next,
    details: { path: difference.path },
  });
}
