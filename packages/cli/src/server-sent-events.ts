import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';

/** The events of an answer whose every event is one line of JSON, as they come. */
export async function* serverSentEvents<Event>(response: Response): AsyncGenerator<Event> {
  if (response.body === null) return;
  for await (const line of createInterface({ input: Readable.fromWeb(response.body as ReadableStream<Uint8Array>), crlfDelay: Infinity }))
    if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length)) as Event;
}
