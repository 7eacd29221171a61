import type { CodedError } from '@helixcode/protocol/errors';
import { type JsonValue, type ModelRequest, UNKNOWN_OUTCOME } from '../model-port.ts';
import { type Difference, differences } from './difference.ts';
import { notRecorded } from './replay.ts';
import { type Exchange, messagesIn, type NormalRequest, normalRequest, type Rewrite, rewrite, type Transcript } from './transcript.ts';

/** What differs between two runs of the same work, and means the same. */
export const USUAL_REWRITES: Rewrite[] = [
  { pattern: /\b[a-z]{3}_[0-9a-hjkmnp-tv-z]{18}\b/g, by: '<id>' },
  { pattern: /\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?/g, by: '<time>' },
  { pattern: /\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g, by: '<hash>' },
  { pattern: /\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds?|min|minutes?)\b/g, by: '<duration>' },
  // A checkout lies elsewhere each time.
  { pattern: /(?<![\w.:/])(?:\/[\w.@+-]+){2,}/g, by: '<path>' },
];

/**
 * The recorded exchange whose request is the asked one, in the same place of the same conversation.
 *
 * It is the conversation that is compared: what people said, what the model answered, which of its calls succeeded, and the shape the answer must have. The system
 * prompt, the descriptions of tools and the settings of the call are not: they change with every version of this program and with the notes of a project. Nor
 * are the texts of tool results; of exchanges that differ only there the one that differs least is taken. A call of unknown outcome, which only a crash can leave, fits
 * a recorded one with any outcome: the recorded model cannot look after it, and what it does next shows what became of it.
 *
 * @returns the CodedError `model.replay_differs` where there is none: it names the first difference from the exchange that fits furthest
 */
export function nearestExchange({ exchanges }: Transcript, request: ModelRequest): Exchange | CodedError {
  const asked = spoken(normalRequest(request, []));
  let nearest: { exchange: Exchange; differing: number } | undefined;
  let furthest: { difference: Difference; agreed: number } | undefined;
  for (const exchange of exchanges) {
    const recorded = spoken(exchange.request);
    let differing = 0;
    let fault: Difference | undefined;
    for (const difference of differences(recorded, asked)) {
      if (isOfNoMatter(difference, asked)) differing++;
      else {
        fault = difference;
        break;
      }
    }
    if (fault === undefined) {
      if (nearest === undefined || differing < nearest.differing) nearest = { exchange, differing };
    } else {
      const agreed = agreedMessages(fault);
      if (furthest === undefined || agreed > furthest.agreed) furthest = { difference: fault, agreed };
    }
  }
  return nearest?.exchange ?? notRecorded(furthest?.difference);
}

function isOfNoMatter({ path, recorded, asked }: Difference, { conversation }: Spoken): boolean {
  const [, message, result, key] = /^conversation\.(\d+)\.results\.(\d+)\.(isError$|parts\.\d+\.text$)/.exec(path) ?? [];
  if (key === 'isError') {
    const [first] = conversation[Number(message)]?.results?.[Number(result)]?.parts ?? [];
    return first?.text?.startsWith(UNKNOWN_OUTCOME) ?? false;
  }
  return key !== undefined && typeof recorded === 'string' && typeof asked === 'string';
}

/** What is compared of a request. */
type Spoken = NormalRequest & { conversation: { results?: { parts?: { text?: string }[] }[] }[] };

function spoken(request: NormalRequest): Spoken {
  const conversation = messagesIn(request).filter((message) => (message as { role?: JsonValue }).role !== 'system');
  return JSON.parse(
    JSON.stringify({ conversation, output: request.output ?? null }, (_key, value: unknown) =>
      typeof value === 'string' ? rewrite(value.trim(), USUAL_REWRITES) : value,
    ),
  ) as Spoken;
}

/** How many messages are the same before the first difference. One that is only missing or too much counts less than one that is other. */
function agreedMessages({ path, recorded, asked }: Difference): number {
  const place = Number(/^conversation\.(\d+)/.exec(path)?.[1] ?? 0);
  return recorded === undefined || asked === undefined ? place - 0.5 : place;
}
