import { ROUTES } from '@helixcode/protocol/api/routes';
import { newId, type UserId } from '@helixcode/protocol/ids';
import { createAuthenticate } from '@helixcode/server/auth/authenticate';
import { newToken, tokenHash } from '@helixcode/server/auth/token';
import { ensureOwner, insertLastingToken } from '@helixcode/server/auth/token-sql';
import { eventHandlers } from '@helixcode/server/events/event-handlers';
import { createEventTail, type EventTail } from '@helixcode/server/events/event-tail';
import type { Handlers } from '@helixcode/server/http/handler';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '@helixcode/server/http/http-server';
import { pino } from 'pino';
import type { TestDatabase } from './database.ts';

export interface TestApi {
  url: string;
  token: string;
  user: UserId;
  server: HttpServer;
  tail: EventTail;
  /** What was logged as a warning or worse, as the objects of the log. */
  logged: Record<string, unknown>[];
  /** `fetch` below `url`, with the token. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

export interface TestApiOptions extends Partial<Omit<HttpServerOptions, 'handlers'>> {
  handlers?: Partial<Handlers>;
  /** Default 0: a free one. */
  port?: number;
}

/** The API on a free loopback port, over a real database; an operation without a handler is a fault. */
export async function givenApi({ db }: TestDatabase, options: TestApiOptions = {}): Promise<TestApi> {
  const token = newToken();
  const user = await ensureOwner(db, newId('user'));
  await insertLastingToken(db, crypto.randomUUID(), user, tokenHash(token), 'test');

  const logged: Record<string, unknown>[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>) });
  const tail = options.tail ?? createEventTail({ db, log });
  const absent = Object.fromEntries(
    Object.keys(ROUTES).map((name) => [name, () => Promise.reject(new Error(`${name} has no handler in this test`))]),
  ) as unknown as Handlers;
  const server = createHttpServer({
    authenticate: createAuthenticate(db),
    tail,
    log,
    version: '0.0.0',
    host: '127.0.0.1',
    validateAnswers: true,
    ...options,
    handlers: { ...absent, ...eventHandlers(tail), ...options.handlers },
  });
  const url = await server.listen(options.port ?? 0);
  return {
    url,
    token,
    user,
    server,
    tail,
    logged,
    ask: (path, init) => fetch(url + path, { ...init, headers: { authorization: `Bearer ${token}`, ...init?.headers } }),
    async stop() {
      await server.close();
      await tail.close();
    },
  };
}
