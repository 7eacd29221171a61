import { createHash, randomBytes } from 'node:crypto';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { WORKER_AGENT_PATH, WORKER_LINK_PATH } from '@helixcode/protocol/api/route-paths';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';
import {
  AGENT_HEADER,
  AGENT_SHA256_HEADER,
  ENROLMENT_HEADER,
  HEARTBEAT_HEADER,
  LABELS_HEADER,
  RUNNING_AGENT_HEADER,
  WORKER_ID_HEADER,
  WORKER_NAME_HEADER,
} from '@helixcode/protocol/worker/dial-in';
import { AGENT_HASH } from '../agent-hash.ts';
import { dialError } from './dial-errors.ts';
import { WebSocketStream } from './web-socket-stream.ts';

/** From the first packet to the answer. */
const ANSWER_WITHIN_MS = 15_000;
/** What a server says when it refuses is short. */
const REFUSAL_BYTES = 64 * 1024;
/** @see RFC 6455, 1.3: what the server puts behind our key, to show that it speaks this protocol */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** What a server says of an address where no workers dial in. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'api.host_refused',
  'api.method_not_allowed',
  'api.not_found',
  'auth.token_missing',
  'auth.token_refused',
]);

export interface DialRequest {
  /** Where the server is found. */
  url: string;
  /** The worker's own token. */
  token: string;
  /** Shown where the server does not know that token yet. */
  enrolment: string | undefined;
  /** `WORKER_CAPABILITIES`, where it is set. */
  labels: string | undefined;
}

/** An open link, and what the server said with it. */
export interface DialledServer {
  stream: WebSocketStream;
  workerId: string;
  workerName: string;
  heartbeatMs: number;
  /** The agent this worker should run: its hash, and the SHA-256 of its file. */
  agent: { hash: string; sha256: string };
}

/**
 * Opens the link to a server.
 * @throws CodedError what the server refused it with; `server.unreachable`, `server.certificate_refused`
 */
export async function dialServer({ url, token, enrolment, labels }: DialRequest): Promise<DialledServer> {
  const key = randomBytes(16).toString('base64');
  const asked = ask(url, WORKER_LINK_PATH, token, {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': key,
    [RUNNING_AGENT_HEADER]: AGENT_HASH,
    ...(enrolment !== undefined && { [ENROLMENT_HEADER]: enrolment }),
    ...(labels !== undefined && { [LABELS_HEADER]: labels }),
  });
  const { response, socket, head } = await new Promise<{ response: IncomingMessage; socket?: Socket; head?: Buffer }>((resolve, reject) => {
    asked.on('upgrade', (response, socket, head) => resolve({ response, socket: socket as Socket, head }));
    asked.on('response', (response) => resolve({ response }));
    asked.on('error', (error) => reject(error instanceof CodedError ? error : dialError(url, error)));
    asked.end();
  });
  if (!socket || !head) throw await refusalIn(url, response);
  const said = (name: string): string => String(response.headers[name] ?? '');
  const accept = createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64');
  if (said('sec-websocket-accept') !== accept || said(WORKER_ID_HEADER) === '') {
    socket.destroy();
    throw notOurs(url, 'it opened a WebSocket of another kind');
  }
  socket.setTimeout(0);
  socket.setNoDelay(true);
  return {
    stream: new WebSocketStream(socket, head),
    workerId: said(WORKER_ID_HEADER),
    workerName: said(WORKER_NAME_HEADER),
    heartbeatMs: Number(said(HEARTBEAT_HEADER)),
    agent: { hash: said(AGENT_HEADER), sha256: said(AGENT_SHA256_HEADER) },
  };
}

/** Fetches the agent that the server wants its workers to run. */
export async function fetchAgentOf(url: string, token: string): Promise<Buffer> {
  const asked = ask(url, WORKER_AGENT_PATH, token, {});
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.on('response', resolve);
    asked.on('error', (error) => reject(error instanceof CodedError ? error : dialError(url, error)));
    asked.end();
  });
  if (response.statusCode !== 200) throw await refusalIn(url, response);
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function ask(url: string, path: string, token: string, headers: Record<string, string>): ClientRequest {
  const place = new URL(url);
  // The server may stand below a path of somebody else's.
  const address = new URL(`${place.pathname.replace(/\/$/, '')}${path}`, place);
  const asked = (place.protocol === 'https:' ? httpsRequest : httpRequest)(address, {
    // A connection of its own: it becomes the link.
    agent: false,
    headers: { ...headers, authorization: `Bearer ${token}` },
  });
  asked.setTimeout(ANSWER_WITHIN_MS, () => {
    const fact = `no server answers at ${url}: nothing came for ${ANSWER_WITHIN_MS / 1000} s`;
    asked.destroy(new CodedError('server.unreachable', fact, { next: 'helix status   (on the machine of the server)' }));
  });
  return asked;
}

async function refusalIn(url: string, response: IncomingMessage): Promise<CodedError> {
  const { statusCode = 0, headers } = response;
  if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
    response.destroy();
    const target = new URL(headers.location, url).href.replace(WORKER_LINK_PATH, '').replace(/\/$/, '');
    return new CodedError('server.unreachable', `${url} sends everybody on to ${target}`, { next: `helix worker join ${target}` });
  }
  let text = '';
  try {
    for await (const piece of response.setEncoding('utf8')) {
      text += piece as string;
      if (text.length > REFUSAL_BYTES) break;
    }
  } catch {
    // What has arrived is looked at.
  }
  const problem = parse(text) as { code?: unknown; detail?: unknown; next?: unknown } | undefined;
  if (typeof problem?.code !== 'string' || !isErrorCode(problem.code) || ELSEWHERE.has(problem.code))
    return notOurs(url, `it answers with status ${statusCode}`);
  return new CodedError(problem.code, String(problem.detail), { next: typeof problem.next === 'string' ? problem.next : undefined });
}

function notOurs(url: string, fact: string): CodedError {
  return new CodedError('server.not_helix', `what answers at ${url} is no HelixCode server that workers dial in to: ${fact}`, {
    next: 'helix status   (on the machine of the server, which tells its address)',
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
