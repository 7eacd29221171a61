import { CodedError } from '@helixcode/protocol/errors';
import { eventStream } from '../http/event-stream.ts';
import type { Handlers } from '../http/handler.ts';
import type { EventTail } from './event-tail.ts';

export function eventHandlers(tail: EventTail): Pick<Handlers, 'events.list' | 'events.stream'> {
  return {
    'events.list': ({ query }) => tail.list(query.topic, query.after, query.limit),

    async 'events.stream'({ query, lastEventId, signal }) {
      // A browser that comes back repeats the address it began with and adds what it has got since.
      const after = await tail.position(lastEventId === undefined ? query.after : sequenceNumber(lastEventId));
      return {
        body: eventStream(after, tail.subscribe({ topic: query.topic, after, signal })),
        // A proxy that gathers bytes would make it anything but live.
        headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' },
      };
    },
  };
}

function sequenceNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new CodedError('api.bad_request', `header Last-Event-ID is ${JSON.stringify(text)}; expected a sequence number`, {
      next: 'send the id of the last event you have, or leave the header out',
    });
  return Number(text);
}
