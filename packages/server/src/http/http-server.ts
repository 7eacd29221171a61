import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import websocket from '@fastify/websocket';
import { API_ROOT, LIVE_PATH, LIVE_PROTOCOL } from '@helixcode/protocol/api/route-paths';
import { ROUTES, type Route, type RouteName } from '@helixcode/protocol/api/routes';
import { helixConfigJsonSchema } from '@helixcode/protocol/config/helix-config';
import { CodedError, ERROR_CODES } from '@helixcode/protocol/errors';
import type { UserId } from '@helixcode/protocol/ids';
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Authenticate } from '../auth/authenticate.ts';
import { bearerToken } from '../auth/bearer-token.ts';
import type { EventTail } from '../events/event-tail.ts';
import { checkAnswer } from './answer-check.ts';
import type { Call, Handlers, RawAnswer } from './handler.ts';
import { serveLive } from './live-socket.ts';
import type { Guest, MachineDoor } from './machine-door.ts';
import { openApiDocument } from './openapi.ts';
import { isOwnHost } from './own-host.ts';
import { asRefusal, internalError, toProblem } from './problem.ts';
import { schemaFault } from './schema-fault.ts';
import { SocketStream } from './socket-stream.ts';

export interface HttpServerOptions {
  handlers: Handlers;
  authenticate: Authenticate;
  tail: EventTail;
  /** Where machines come in that have tokens of their own. */
  machineDoor?: MachineDoor;
  log: Logger;
  /** Shown in the API description. */
  version: string;
  /** Name or address to listen on. */
  host: string;
  /** Further names under which the server may be asked, beside loopback ones. */
  hostNames?: readonly string[];
  /** Compares every answer with its schema: for tests and development, as a check takes time. */
  validateAnswers?: boolean;
}

export interface HttpServer {
  /**
   * @param port 0 for a free one
   * @returns the base URL, reachable from this machine
   * @throws CodedError `server.port_in_use`, `server.listen_failed`
   */
  listen(port: number): Promise<string>;
  /** Takes no more requests, ends streams, lets running requests finish, but not for longer than `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

const jsonLimitBytes = 1024 * 1024;
/** How often it is asked whether the token of an open stream is still good. */
const recheckMs = 15_000;
/** How often it is looked, while closing, for connections that have become idle. */
const sweepMs = 25;
const json = 'application/json; charset=utf-8';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who makes it, once the token was accepted. */
    caller: UserId | undefined;
    /** The machine that makes it, where machines come in. */
    guest: Guest | undefined;
  }
  interface FastifyContextConfig {
    /** Asked with a machine's token, not with a person's. */
    isMachineDoor?: boolean;
  }
}

/** The API over HTTP, made from the route table. Nothing in it answers without a token. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { log, authenticate, machineDoor } = options;
  const ownNames = [options.host, ...(options.hostNames ?? [])];
  const streams = new Set<AbortController>();
  let requests = 0;
  const processMark = Date.now().toString(36);

  const app = fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // We log by request id where there is something to log; a logger for every request costs more than the rest of it.
    childLoggerFactory: (logger) => logger,
    exposeHeadRoutes: false,
    bodyLimit: jsonLimitBytes,
    genReqId: () => `${processMark}-${(++requests).toString(36)}`,
    routerOptions: { maxParamLength: 500 },
    clientErrorHandler: (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
      else socket.destroy();
    },
    // Raised while the path is read, before any hook.
    frameworkErrors: (error, request, reply) => {
      const answer = async (): Promise<never> => {
        await admit(request, reply);
        throw error;
      };
      void answer().catch((refusal: unknown) => refuse(refusal, request, reply));
    },
  });

  const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.headers(SAFE_HEADERS);
    // Under whichever name a machine finds us: no page of a browser has its token.
    if (machineDoor && request.routeOptions.config?.isMachineDoor) {
      request.guest = await machineDoor.admit(request.headers);
      return;
    }
    const { host } = request.headers;
    if (!isOwnHost(host, ownNames, request.raw.socket.localAddress))
      throw new CodedError('api.host_refused', `this server does not go by the name ${host ?? '(none)'}`, {
        next: `ask for http://${request.raw.socket.localAddress}:${request.raw.socket.localPort}, or set clients.host in helix.json`,
      });
    request.caller = await authenticate(bearerToken(request.headers));
  };

  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const refusal = asRefusal(error) ?? internalError(request.id);
    const { http } = ERROR_CODES[refusal.code];
    if (http >= 500) log.error({ err: error, requestId: request.id, method: request.method, url: request.url }, refusal.message);
    reply.code(http).type('application/problem+json; charset=utf-8');
    if (http === 401) reply.header('www-authenticate', 'Bearer');
    if (http === 503) reply.header('retry-after', '1');
    // What is still being sent up is not read to its end only to be thrown away.
    if (request.raw.headers['content-length'] !== undefined && !request.raw.complete) reply.header('connection', 'close');
    // After an upgrade that was refused nobody else feels responsible for the connection.
    if (request.headers.upgrade !== undefined) reply.raw.once('finish', () => request.raw.socket.destroySoon());
    reply.send(JSON.stringify(toProblem(refusal, request.id)));
  };

  app.setErrorHandler((error, request, reply) => refuse(error, request, reply));
  app.decorateRequest('caller', undefined);
  app.decorateRequest('guest', undefined);
  app.addHook('onRequest', admit);
  readBodies(app);

  // Made when first asked for: the start must not wait for it.
  let openApi: string | undefined;
  app.get('/api/openapi.json', (_request, reply) => {
    openApi ??= JSON.stringify(openApiDocument(options.version));
    return reply.type(json).send(openApi);
  });
  app.get('/api/helix.schema.json', (_request, reply) =>
    reply.type('application/schema+json').send(JSON.stringify(helixConfigJsonSchema())),
  );
  const methodsOf = new Map<string, string[]>([
    ['/api/openapi.json', ['GET']],
    ['/api/helix.schema.json', ['GET']],
    [LIVE_PATH, ['GET']],
    ...(machineDoor ? [machineDoor.socketPath, machineDoor.filePath].map((path): [string, string[]] => [path, ['GET']]) : []),
  ]);

  for (const name of Object.keys(ROUTES) as RouteName[]) {
    const route: Route = ROUTES[name];
    const url = `${API_ROOT}${route.path}`;
    methodsOf.set(url, [...(methodsOf.get(url) ?? []), route.method]);
    app.route({ method: route.method, url, handler: routeHandler(name, route) });
  }

  for (const [url, methods] of methodsOf) {
    const others = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter((method) => !methods.includes(method));
    const allow = methods.join(', ');
    app.route({
      method: others,
      url,
      handler: (request, reply) => {
        reply.header('allow', allow);
        throw new CodedError('api.method_not_allowed', `${url} does not take ${request.method}`, { next: `use ${allow}` });
      },
    });
  }

  app.setNotFoundHandler((request) => {
    throw new CodedError('api.not_found', `there is nothing at ${request.url}`, { next: '/api/openapi.json lists what there is' });
  });

  app.register(websocket, {
    options: {
      maxPayload: 64 * 1024,
      handleProtocols: (offered: Set<string>) => (offered.has(LIVE_PROTOCOL) ? LIVE_PROTOCOL : false),
    },
  });
  app.register(async (scope) => {
    scope.route({
      method: 'GET',
      url: LIVE_PATH,
      handler: () => {
        throw new CodedError('api.bad_request', `${LIVE_PATH} is a WebSocket`, {
          next: `GET ${API_ROOT}/events/stream gives the same as server-sent events`,
        });
      },
      wsHandler: (socket, request) => {
        const token = bearerToken(request.headers);
        serveLive(socket, options.tail, () => authenticate(token), log);
      },
    });
  });

  if (machineDoor) openDoor(machineDoor);

  function routeHandler(name: RouteName, route: Route): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
    const query = route.query?.strict();
    const queryKeys = Object.keys(route.query?.shape ?? {});
    const body = route.body;
    const bodySchema = body instanceof z.ZodType ? body : undefined;
    const bodyKeys = bodySchema instanceof z.ZodObject ? Object.keys(bodySchema.shape) : [];
    const isStream = route.answer === 'text/event-stream';
    const handler = options.handlers[name] as unknown as (call: Call<RouteName>) => Promise<unknown>;

    return async (request, reply) => {
      const call = new CheckedCall(
        request.params,
        checkQuery(request.query),
        checkBody(request.body),
        request.caller,
        header(request, 'last-event-id'),
        () => signalOf(request, reply, isStream),
      );
      const answer = await handler(call as unknown as Call<RouteName>);

      reply.code(route.status);
      if (route.answer === undefined) return reply.send();
      if (typeof route.answer === 'string') {
        const { body, headers } = answer as RawAnswer;
        if (headers) reply.headers(headers);
        if (!reply.hasHeader('content-type')) reply.type(route.answer);
        return reply.send(
          body instanceof Uint8Array && !Buffer.isBuffer(body) ? Buffer.from(body.buffer, body.byteOffset, body.byteLength) : body,
        );
      }
      const text = JSON.stringify(answer);
      if (options.validateAnswers) checkAnswer(name, route, text);
      return reply.type(json).send(text);
    };

    function checkQuery(given: unknown): unknown {
      if (query === undefined) {
        const key = Object.keys(given as object)[0];
        if (key !== undefined)
          throw new CodedError('api.bad_request', `query key ${key} is unknown; ${name} takes none`, {
            next: `/api/openapi.json describes ${name}`,
          });
        return undefined;
      }
      // The parser's object has no prototype, and its values are texts, or lists of texts where a key is repeated.
      const checked = query.safeParse(given);
      if (!checked.success) throw schemaFault('query', given, checked.error, queryKeys, name);
      return checked.data;
    }

    function checkBody(given: unknown): unknown {
      if (bodySchema !== undefined && !(given instanceof Readable)) {
        const checked = bodySchema.safeParse(given);
        if (!checked.success) throw schemaFault('body', given, checked.error, bodyKeys, name);
        return checked.data;
      }
      if (typeof body === 'string' && (given instanceof Readable || given === undefined)) return given ?? Readable.from([]);
      if (body === undefined && given === undefined) return undefined;
      throw new CodedError(
        'api.media_type_unsupported',
        body === undefined ? `${name} takes no body` : `${name} takes a body of ${typeof body === 'string' ? body : 'application/json'}`,
        { next: `/api/openapi.json describes ${name}` },
      );
    }
  }

  function openDoor(door: MachineDoor): void {
    const config = { isMachineDoor: true };
    const guests = new WeakMap<IncomingMessage, Guest>();
    app.register(async (scope) => {
      scope.websocketServer.on('headers', (lines: string[], request: IncomingMessage) => {
        for (const [name, value] of Object.entries(guests.get(request)?.headers ?? {})) lines.push(`${name}: ${value}`);
      });
      scope.route({
        method: 'GET',
        url: door.socketPath,
        config,
        preHandler: async (request) => {
          if (request.guest) guests.set(request.raw, request.guest);
        },
        handler: () => {
          throw new CodedError('api.bad_request', `${door.socketPath} is a WebSocket`, { next: 'helix worker join' });
        },
        wsHandler: (socket, request) => request.guest?.enter(new SocketStream(socket)),
      });
      scope.get(door.filePath, { config }, (request, reply) => {
        const answer = request.guest?.file();
        if (answer?.headers) reply.headers(answer.headers);
        return reply.send(answer?.body);
      });
    });
  }

  /** Aborted when the caller goes away; for a stream also when the server closes or the token is refused. */
  function signalOf(request: FastifyRequest, reply: FastifyReply, isStream: boolean): AbortSignal {
    const gone = new AbortController();
    const abort = (): void => gone.abort();
    if (!isStream) {
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) abort();
      });
      return gone.signal;
    }
    const token = bearerToken(request.headers);
    const timer = setInterval(() => {
      authenticate(token).catch((error: unknown) => {
        if (error instanceof CodedError && error.code === 'auth.token_refused') abort();
      });
    }, recheckMs);
    streams.add(gone);
    reply.raw.once('close', () => {
      clearInterval(timer);
      streams.delete(gone);
      abort();
    });
    return gone.signal;
  }

  return {
    async listen(port) {
      try {
        await app.listen({ host: options.host, port });
      } catch (error) {
        throw listenError(error, options.host, port);
      }
      const { port: chosen } = app.server.address() as AddressInfo;
      const isWildcard = options.host === '0.0.0.0' || options.host === '::';
      const name = isWildcard ? '127.0.0.1' : options.host.includes(':') ? `[${options.host}]` : options.host;
      return `http://${name}:${chosen}`;
    },

    async close(graceMs = 2_000) {
      for (const stream of streams) stream.abort();
      const timer = setTimeout(() => {
        for (const client of app.websocketServer.clients) client.terminate();
        app.server.closeAllConnections();
      }, graceMs);
      // Connections whose request was still running are kept alive by their clients, for nothing.
      const sweep = setInterval(() => app.server.closeIdleConnections(), sweepMs);
      await app.close();
      clearInterval(sweep);
      clearTimeout(timer);
    },
  };
}

/** A class, as an object with a getter of its own, made for every request, is dear to the engine. */
class CheckedCall {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly user: UserId | undefined;
  readonly lastEventId: string | undefined;
  readonly #makeSignal: () => AbortSignal;
  #signal: AbortSignal | undefined;

  constructor(
    params: unknown,
    query: unknown,
    body: unknown,
    user: UserId | undefined,
    lastEventId: string | undefined,
    makeSignal: () => AbortSignal,
  ) {
    this.params = params;
    this.query = query;
    this.body = body;
    this.user = user;
    this.lastEventId = lastEventId;
    this.#makeSignal = makeSignal;
  }

  /** Made for the few handlers that ask for it. */
  get signal(): AbortSignal {
    this.#signal ??= this.#makeSignal();
    return this.#signal;
  }
}

/** A page of another site must neither read, frame, guess nor keep what is answered here. */
const SAFE_HEADERS = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

/** JSON is read whole and bounded; other bodies are handed on as they come, however large. */
function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    // Clients that always name a type send it with nothing too.
    if (text === '') return done(null, undefined);
    try {
      done(null, JSON.parse(text as string));
    } catch (cause) {
      const fact = cause instanceof Error ? cause.message : String(cause);
      done(new CodedError('api.bad_request', `the body is not JSON: ${fact}`, { next: 'send one JSON document', cause }));
    }
  });
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function listenError(error: unknown, host: string, port: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'EADDRINUSE':
      return new CodedError('server.port_in_use', `port ${port} of ${host} is in use by another program`, {
        next: '`helix up --port 0` takes a free one',
        cause: error,
        details: { host, port },
      });
    case 'EACCES':
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new CodedError(
        'server.listen_failed',
        code === 'EACCES' ? `this user may not listen on port ${port}` : `this machine does not have the address ${host}`,
        { next: 'set clients.host and clients.port in helix.json', cause: error, details: { host, port } },
      );
    default:
      return error;
  }
}
