import { BEARER_PROTOCOL, LIVE_PATH, LIVE_PROTOCOL } from '@helixcode/protocol/api/route-paths';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';
import type { Event, LiveMessage, LiveRequest } from '@helixcode/protocol/event/events';
import { type ClientOptions, createClient } from './http-client.ts';

export interface LiveClientOptions extends ClientOptions {
  /** Told when the connection is there, and when it is not, with the reason. */
  onLink?: (link: { isUp: true } | { isUp: false; reason: CodedError }) => void;
}

export interface LiveSubscription {
  /** As `TOPIC` of the protocol has it. */
  topic: string;
  /** Last sequence number known; 0 for all that is kept; absent for what happens from now on. */
  after?: number;
  /** Ends the subscription. */
  signal?: AbortSignal;
}

export interface LiveClient {
  /**
   * Every event about the topic, once and in order, through any number of lost connections.
   *
   * @throws CodedError `api.cursor_too_old` when the server no longer has what follows the last event seen: fetch the
   *   present state and subscribe after `details.newest`; `auth.token_refused` when the token is not accepted
   */
  subscribe(subscription: LiveSubscription): AsyncIterable<Event>;
  /** Ends all subscriptions. */
  close(): void;
}

const firstRetryMs = 100;
const longestRetryMs = 5_000;
/** What a slow reader may leave lying here; the rest stays with the server until it asks. */
const mostQueued = 2_000;

/** One reader of one topic. */
interface Reader {
  topic: string;
  queue: Event[];
  /** Sequence number up to which it has got, or queued, everything; `undefined` until the server told where it begins. */
  last: number | undefined;
  /** Its queue was full: what follows `last` is asked for again when it is empty. */
  isBehind: boolean;
  end: { error?: CodedError } | undefined;
  wake: () => void;
}

/** Needs nothing but the WebSocket and fetch of the platform: it runs in a browser. One connection carries all topics. */
export function createLiveClient(options: LiveClientOptions): LiveClient {
  const address = `${options.baseUrl.replace(/^http/, 'ws').replace(/\/+$/, '')}${LIVE_PATH}`;
  const client = createClient(options);
  const readers = new Set<Reader>();
  /** Sequence number which the server's stream of each topic has reached. */
  const reached = new Map<string, number>();
  let socket: WebSocket | undefined;
  let retryMs = firstRetryMs;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;

  const finish = (reader: Reader, error?: CodedError): void => {
    reader.end ??= error ? { error } : {};
    readers.delete(reader);
    reader.wake();
  };

  const send = (request: LiveRequest): void => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
  };

  const readersOf = (topic: string): Reader[] => [...readers].filter((reader) => reader.topic === topic);

  /** (Re)starts a topic where the reader that has least of it stands; the others skip what they have. */
  const follow = (topic: string): void => {
    const lasts = readersOf(topic).flatMap(({ last }) => last ?? []);
    send({ t: 'subscribe', topic, ...(lasts.length > 0 && { after: Math.min(...lasts) }) });
  };

  const hear = (message: LiveMessage): void => {
    switch (message.t) {
      case 'subscribed':
        reached.set(message.topic, message.newest);
        for (const reader of readersOf(message.topic)) reader.last ??= message.newest;
        return;
      case 'event': {
        const before = reached.get(message.topic) ?? message.event.seq;
        reached.set(message.topic, message.event.seq);
        for (const reader of readersOf(message.topic)) offer(reader, before, message.event);
        return;
      }
      case 'too_old': {
        const { oldest, newest } = message;
        const isTooOld = ({ last = 0 }: Reader): boolean => last + 1 < oldest || last > newest;
        const all = readersOf(message.topic);
        const outdated = all.filter(isTooOld);
        for (const reader of outdated.length > 0 ? outdated : all) {
          finish(
            reader,
            new CodedError('api.cursor_too_old', `what follows event ${reader.last} is not to be had any more`, {
              next: `fetch the present state and continue after ${newest}`,
              details: { oldest, newest },
            }),
          );
        }
        if (readersOf(message.topic).length > 0) follow(message.topic);
        return;
      }
      case 'error': {
        const code = isErrorCode(message.code) ? message.code : 'api.bad_request';
        for (const reader of readersOf(message.topic ?? '')) finish(reader, new CodedError(code, message.message));
      }
    }
  };

  /** @param before what the stream had reached: a reader that is not there yet would have a gap, and is sent it later */
  const offer = (reader: Reader, before: number, event: Event): void => {
    reader.last ??= before;
    if (reader.last < before || event.seq <= reader.last) return;
    if (reader.queue.length === mostQueued) {
      reader.isBehind = true;
      return;
    }
    reader.queue.push(event);
    reader.last = event.seq;
    reader.wake();
  };

  const connect = (): void => {
    const opening = new WebSocket(address, [LIVE_PROTOCOL, BEARER_PROTOCOL + options.token]);
    socket = opening;
    opening.onopen = () => {
      retryMs = firstRetryMs;
      options.onLink?.({ isUp: true });
      reached.clear();
      for (const topic of new Set([...readers].map(({ topic }) => topic))) follow(topic);
    };
    opening.onmessage = ({ data }) => {
      if (socket === opening) hear(JSON.parse(String(data)) as LiveMessage);
    };
    opening.onclose = () => {
      if (socket !== opening) return;
      socket = undefined;
      if (readers.size > 0) void reconnect();
    };
  };

  /** A WebSocket does not tell why it was not let in; an ordinary request does. */
  const reconnect = async (): Promise<void> => {
    const reason = await client.call('events.list', { query: { limit: 1 } }).then(
      () =>
        new CodedError('server.unreachable', `the live connection to ${options.baseUrl} was lost`, { next: 'it is made again by itself' }),
      (error: unknown) => error,
    );
    if (isClosed || readers.size === 0 || socket) return;
    if (!(reason instanceof CodedError)) throw reason;
    if (reason.code === 'auth.token_refused' || reason.code === 'auth.token_missing') {
      for (const reader of readers) finish(reader, reason);
      return;
    }
    options.onLink?.({ isUp: false, reason });
    // Many clients lose one server at the same moment: they must not come back at the same moment.
    const pauseMs = retryMs * (0.5 + Math.random());
    retryMs = Math.min(retryMs * 2, longestRetryMs);
    clearTimeout(retryTimer);
    retryTimer = setTimeout(() => {
      if (!isClosed && readers.size > 0 && !socket) connect();
    }, pauseMs);
  };

  const leave = (reader: Reader): void => {
    finish(reader);
    if (readers.size === 0) {
      clearTimeout(retryTimer);
      const closing = socket;
      socket = undefined;
      closing?.close();
    } else if (readersOf(reader.topic).length === 0) send({ t: 'unsubscribe', topic: reader.topic });
  };

  async function* subscribe({ topic, after, signal }: LiveSubscription): AsyncGenerator<Event> {
    if (isClosed || signal?.aborted) return;
    const reader: Reader = { topic, queue: [], last: after, isBehind: false, end: undefined, wake: () => {} };
    const abort = (): void => leave(reader);
    signal?.addEventListener('abort', abort);
    readers.add(reader);
    if (socket?.readyState === WebSocket.OPEN) follow(topic);
    else if (!socket) connect();
    try {
      for (;;) {
        const event = reader.queue.shift();
        if (event) {
          if (signal?.aborted) return;
          yield event;
          continue;
        }
        if (reader.end?.error) throw reader.end.error;
        if (reader.end) return;
        if (reader.isBehind) {
          reader.isBehind = false;
          follow(topic);
        }
        await new Promise<void>((resolve) => {
          reader.wake = resolve;
        });
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      leave(reader);
    }
  }

  return {
    subscribe,
    close() {
      isClosed = true;
      for (const reader of readers) finish(reader);
      clearTimeout(retryTimer);
      socket?.close();
      socket = undefined;
    },
  };
}
