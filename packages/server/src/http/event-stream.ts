import { Readable } from 'node:stream';
import type { Event } from '@helixcode/protocol/event/events';

/** Says to proxies and to the listener that the line is alive. */
const heartbeatMs = 15_000;

/**
 * Events as server-sent events: the id of each is its sequence number, so that a browser resumes by itself.
 *
 * @param after  number after which `events` begins; sent first, so that a listener that heard nothing yet can resume too
 * @param events is asked for more only when the listener has taken what it got
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function eventStream(after: number, events: AsyncIterable<Event>): Readable {
  let room = Promise.withResolvers<void>();
  const stream = new Readable({ read: () => room.resolve() });
  const heartbeat = setInterval(() => {
    if (stream.readableLength === 0) stream.push(':\n\n');
  }, heartbeatMs);
  stream.on('close', () => {
    clearInterval(heartbeat);
    room.resolve();
  });

  const write = async (text: string): Promise<void> => {
    room = Promise.withResolvers();
    if (!stream.push(text)) await room.promise;
  };
  const run = async (): Promise<void> => {
    await write(`retry: 1000\nid: ${after}\n\n`);
    for await (const event of events) {
      if (stream.destroyed) return;
      await write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`);
    }
  };
  run().then(
    () => stream.push(null),
    // Its place may be gone by now: the listener is told so when it comes back with its last id.
    () => stream.push(null),
  );
  return stream;
}
