import { randomUUID } from 'node:crypto';
import { CodedError } from '@helixcode/protocol/errors';
import type { ServerId } from '@helixcode/protocol/ids';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { Listener, Notifier } from '../db/listen.ts';
import { answerCall, deleteOldCalls, insertCall, takeAnswer, takeCalls } from './call-sql.ts';

/** Its payload: the server that has something to do, or the call that was answered. */
const CHANNEL = 'helix_calls';
/** How often it is looked where no wake-up came. */
const LOOK_MS = 1_000;

/** What one server asks of another: written down first, so that neither side depends on reaching the other. */
export interface FleetCalls {
  /** Answers calls of this name. */
  serve(name: string, answer: (args: never) => Promise<unknown>): void;
  /**
   * @returns what the other server answered
   * @throws CodedError what it refused with; `server.unreachable` when it did not answer in time
   */
  ask(server: ServerId, name: string, args: object, withinMs: number): Promise<unknown>;
  /** Tells a server that there is something for it in the tables. */
  wake(server: ServerId): void;
  /** There may be something for this server in the tables. */
  onWake(listener: () => void): void;
  close(): void;
}

export function openFleetCalls(options: {
  db: Db;
  serverId: ServerId;
  listener: Pick<Listener, 'on'>;
  notifier: Pick<Notifier, 'notify'>;
  isAlone(): boolean;
  log: Logger;
}): FleetCalls {
  const { db, serverId, notifier, log } = options;
  const handlers = new Map<string, (args: never) => Promise<unknown>>();
  const answers = new Map<string, () => void>();
  const listeners: (() => void)[] = [];
  let isTaking = false;
  let isAsked = false;

  async function take(): Promise<void> {
    isAsked = true;
    if (isTaking) return;
    isTaking = true;
    try {
      while (isAsked) {
        isAsked = false;
        for (const call of await takeCalls(db, serverId)) void answer(call);
      }
    } catch (error) {
      log.warn({ err: error }, 'what other servers ask could not be read and is read again');
    } finally {
      isTaking = false;
    }
  }

  async function answer({ id, name, arguments: args }: Awaited<ReturnType<typeof takeCalls>>[number]): Promise<void> {
    let said: { answer: unknown } | { failure: object };
    try {
      const handler = handlers.get(name);
      if (!handler) throw new CodedError('api.bad_request', `this server does not know ${name}`, { next: 'helix status' });
      said = { answer: (await handler(args as never)) ?? null };
    } catch (error) {
      if (!(error instanceof CodedError)) log.error({ err: error, name }, 'what another server asked for failed');
      said = {
        failure:
          error instanceof CodedError
            ? error.toFact()
            : { code: 'api.internal', message: `${name} failed on the server that holds the worker` },
      };
    }
    try {
      await answerCall(db, id, said);
      notifier.notify(CHANNEL, id);
    } catch (error) {
      log.warn({ err: error, name }, 'an answer to another server could not be written');
    }
  }

  const look = (): void => {
    void take();
    for (const tell of listeners) tell();
    for (const tell of answers.values()) tell();
  };
  void options.listener
    .on(CHANNEL, (payload) => {
      if (payload === undefined) look();
      else if (payload === serverId) {
        void take();
        for (const tell of listeners) tell();
      } else answers.get(payload)?.();
    })
    .catch(() => {});
  const timer = setInterval(() => {
    if (!options.isAlone()) look();
  }, LOOK_MS);

  return {
    serve: (name, handler) => void handlers.set(name, handler),
    wake: (server) => notifier.notify(CHANNEL, server),
    onWake: (listener) => void listeners.push(listener),
    async ask(server, name, args, withinMs) {
      const id = randomUUID();
      await deleteOldCalls(db);
      await insertCall(db, { id, server, name, args });
      notifier.notify(CHANNEL, server);
      const untilMs = performance.now() + withinMs;
      try {
        for (;;) {
          const { promise, resolve } = Promise.withResolvers<void>();
          answers.set(id, resolve);
          const said = await takeAnswer(db, id);
          if (said?.failure) throw CodedError.fromFact(said.failure);
          if (said) return said.answer;
          const restMs = untilMs - performance.now();
          if (restMs <= 0)
            throw new CodedError('server.unreachable', `server ${server}, which holds the worker, did not answer within ${withinMs} ms`, {
              next: 'helix status',
            });
          const patience = setTimeout(resolve, Math.min(restMs, LOOK_MS));
          await promise;
          clearTimeout(patience);
        }
      } finally {
        answers.delete(id);
      }
    },
    close: () => clearInterval(timer),
  };
}
