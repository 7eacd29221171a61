import type { WebSocket } from '@fastify/websocket';
import { CodedError } from '@helixcode/protocol/errors';
import { type LiveMessage, type LiveRequest, liveRequest } from '@helixcode/protocol/event/events';
import type { Logger } from 'pino';
import type { EventTail } from '../events/event-tail.ts';
import { schemaFault } from './schema-fault.ts';

/** How often a silent client is asked whether it is there; after two silences it is not. */
const pingMs = 15_000;
/** With more than this on its way to a client, nothing more is read for it until that has left. */
const bufferBoundBytes = 256 * 1024;
const mostTopics = 1_000;

/** WebSocket status: the client broke a rule, here: its token is not accepted any more. @see RFC 6455, 7.4.1 */
const POLICY_VIOLATION = 1008;

/**
 * One client's live events: any number of topics over one WebSocket, each resumed where the client says.
 *
 * @param recheck rejects when the client's token is not accepted any more
 */
export function serveLive(socket: WebSocket, tail: EventTail, recheck: () => Promise<unknown>, log: Pick<Logger, 'error'>): void {
  const topics = new Map<string, AbortController>();
  let isAnswering = true;

  const pinging = setInterval(() => {
    if (!isAnswering) return socket.terminate();
    isAnswering = false;
    socket.ping();
    recheck().catch((error: unknown) => {
      if (error instanceof CodedError && error.code === 'auth.token_refused') socket.close(POLICY_VIOLATION, error.code);
    });
  }, pingMs);
  socket.on('pong', () => {
    isAnswering = true;
  });
  socket.on('close', () => {
    clearInterval(pinging);
    for (const topic of topics.values()) topic.abort();
  });
  // It closes by itself after an error.
  socket.on('error', () => {});

  const send = async (message: LiveMessage): Promise<void> => {
    const text = JSON.stringify(message);
    if (socket.bufferedAmount < bufferBoundBytes) socket.send(text);
    else await new Promise<void>((resolve) => socket.send(text, () => resolve()));
  };

  const follow = async (topic: string, after: number | undefined, signal: AbortSignal): Promise<void> => {
    try {
      const from = await tail.position(after);
      if (signal.aborted) return;
      await send({ t: 'subscribed', topic, newest: from });
      for await (const event of tail.subscribe({ topic, after: from, signal })) await send({ t: 'event', topic, event });
    } catch (error) {
      if (signal.aborted) return;
      topics.delete(topic);
      if (error instanceof CodedError && error.code === 'api.cursor_too_old') {
        await send({ t: 'too_old', topic, oldest: Number(error.details?.oldest), newest: Number(error.details?.newest) });
        return;
      }
      if (!(error instanceof CodedError)) log.error({ err: error, topic }, 'a live subscription broke');
      // The client resumes from what it has: nothing is lost with the connection.
      socket.close(1011, 'the subscription broke');
    }
  };

  const obey = (request: LiveRequest): void => {
    topics.get(request.topic)?.abort();
    topics.delete(request.topic);
    if (request.t === 'unsubscribe') return;
    if (topics.size >= mostTopics) throw new CodedError('api.bad_request', `one connection carries at most ${mostTopics} topics`);
    const over = new AbortController();
    topics.set(request.topic, over);
    void follow(request.topic, request.after, over.signal);
  };

  socket.on('message', (data: Buffer) => {
    let message: unknown;
    try {
      message = parse(data);
      obey(check(message));
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      void send({ t: 'error', ...topicOf(message), code: error.code, message: error.message });
    }
  });
}

function parse(data: Buffer): unknown {
  try {
    return JSON.parse(String(data));
  } catch (cause) {
    throw new CodedError('api.bad_request', 'a message is not JSON', { cause });
  }
}

function check(message: unknown): LiveRequest {
  const checked = liveRequest.safeParse(message);
  if (!checked.success) throw schemaFault('message', message, checked.error, [], 'the live socket');
  return checked.data;
}

/** So that the one who asked for it can be told, where the message says so much. */
function topicOf(message: unknown): { topic?: string } {
  return typeof message === 'object' && message !== null && 'topic' in message && typeof message.topic === 'string'
    ? { topic: message.topic }
    : {};
}
