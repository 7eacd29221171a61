import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';

/** How long a connection may take to be made. Answers have no limit here: a local model may read a long prompt for many minutes. */
const CONNECT_MS = 15_000;

/**
 * A `fetch` that speaks with one address and no other: whatever a library would like to reach besides is refused.
 * Unlike the built-in one it does not give up after five silent minutes, and it leaves the waiting to the caller's signal.
 * Redirects are not followed (the key would go with them).
 */
export function vendorFetch(baseUrl: string): typeof fetch {
  const allowed = new URL(baseUrl).origin;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.origin !== allowed) throw new Error(`a call to ${url.origin} was refused: this provider may only reach ${allowed}`);
    const body = init?.body ?? undefined;
    if (body !== undefined && typeof body !== 'string') throw new TypeError('only text is sent to a model provider');
    init?.signal?.throwIfAborted();
    const head = await sendOnce(url, init, body).catch((error: NodeJS.ErrnoException & { onUsedSocket?: boolean }) => {
      // The vendor closed an idle connection at the moment we used it again: nothing was read of our request.
      if (error.onUsedSocket && error.code === 'ECONNRESET') return sendOnce(url, init, body);
      throw error;
    });
    return toResponse(head);
  };
}

function sendOnce(url: URL, init: RequestInit | undefined, body: string | undefined): Promise<IncomingMessage> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers = Object.fromEntries(new Headers(init?.headers));
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = send(url, {
      method: init?.method ?? 'GET',
      headers: { ...headers, 'accept-encoding': 'identity', ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) },
      ...(init?.signal && { signal: init.signal }),
    });
    outgoing.on('error', (error) => reject(Object.assign(error, { onUsedSocket: outgoing.reusedSocket })));
    outgoing.on('response', resolve);
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) return;
      const late = setTimeout(() => outgoing.destroy(Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT' })), CONNECT_MS);
      const settle = (): void => clearTimeout(late);
      socket.once('connect', settle);
      socket.once('close', settle);
    });
    outgoing.end(body);
  });
}

function toResponse(incoming: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers))
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  const status = incoming.statusCode ?? 502;
  const isBodyless = status === 204 || status === 304;
  return new Response(isBodyless ? null : (Readable.toWeb(incoming) as ReadableStream<Uint8Array>), { status, headers });
}
