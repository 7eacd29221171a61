import { CodedError } from '@helixcode/protocol/errors';
import pg from 'pg';
import { createBatchWriter } from './batch-writer.ts';
import { asUnavailable } from './connection-loss.ts';
import type { Db } from './db.ts';

/** @param payload `undefined` after the connection was made again: wake-ups may have been missed, so look */
export type OnNotification = (payload: string | undefined) => void;

export interface Listener {
  /** Resolves when every later notification on `channel` will reach `fn`, or a look-again in its place. */
  on(channel: string, fn: OnNotification): Promise<void>;
  close(): Promise<void>;
}

const firstRetryMs = 50;
const longestRetryMs = 5_000;

/** Hears notifications on a connection of its own, which it makes again, for ever, when it is lost. */
export function openListener(url: string): Listener {
  const handlers = new Map<string, OnNotification[]>();
  let connected = Promise.withResolvers<pg.Client>();
  let current: pg.Client | undefined;
  let retryMs = firstRetryMs;
  let retryTimer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let wasConnected = false;

  const tell = (channel: string, payload: string | undefined): void => {
    for (const fn of handlers.get(channel) ?? []) fn(payload);
  };

  const connect = async (): Promise<void> => {
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    });
    current = client;
    let isLost = false;
    const lost = (): void => {
      if (isLost || isClosed) return;
      isLost = true;
      if (wasConnected && current === client) connected = Promise.withResolvers();
      void client.end().catch(() => {});
      retryTimer = setTimeout(() => void connect(), retryMs);
      retryMs = Math.min(retryMs * 2, longestRetryMs);
    };
    client.on('error', lost);
    client.on('end', lost);
    client.on('notification', ({ channel, payload }) => tell(channel, payload ?? ''));
    try {
      await client.connect();
      // One round trip for all: a restart of the database must not cost one per channel.
      if (handlers.size > 0) await client.query([...handlers.keys()].map(listenTo).join(';'));
    } catch {
      lost();
      return;
    }
    if (isLost) return;
    retryMs = firstRetryMs;
    connected.resolve(client);
    if (wasConnected) for (const channel of handlers.keys()) tell(channel, undefined);
    wasConnected = true;
  };
  void connect();

  return {
    async on(channel, fn) {
      const known = handlers.get(channel);
      handlers.set(channel, [...(known ?? []), fn]);
      for (;;) {
        const { promise } = connected;
        const client = await promise;
        try {
          // Repeating it is harmless, and the connection may have been made before this channel was known.
          await client.query(listenTo(channel));
          return;
        } catch (error) {
          if (isClosed) throw asUnavailable(error);
          // A lost connection is made again with all channels; a refused statement would be refused again.
          if (promise === connected.promise && !(asUnavailable(error) instanceof CodedError)) throw error;
        }
      }
    },

    async close() {
      isClosed = true;
      clearTimeout(retryTimer);
      await current?.end().catch(() => {});
    },
  };
}

/** Sends wake-ups to every listener of every server. They carry no facts: one that is lost costs time, never work. */
export interface Notifier {
  /** At once when it was quiet; else with the others of the same 20 ms, equal ones once. */
  notify(channel: string, payload: string): void;
  /** Resolves when all that were asked for have been sent. */
  drain(): Promise<void>;
}

const coalesceMs = 20;

/**
 * A committing transaction that holds a notification waits for a lock of the whole database, so notifications are sent
 * outside of transactions: `tx.afterCommit(() => notifier.notify(...))`.
 */
export function createNotifier(db: Db): Notifier {
  const pending = new Set<string>();
  const writer = createBatchWriter<string>({
    windowMs: coalesceMs,
    maxItems: 1_000,
    async flush(keys) {
      // Taken out before it is sent: the same wake-up asked for from now on is about something newer.
      for (const key of keys) pending.delete(key);
      const pairs = keys.map((key) => JSON.parse(key) as [string, string]);
      await db.query(`select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as wakeup (channel, payload)`, [
        pairs.map(([channel]) => channel),
        pairs.map(([, payload]) => payload),
      ]);
    },
  });

  return {
    notify(channel, payload) {
      const key = JSON.stringify([channel, payload]);
      if (pending.has(key)) return;
      pending.add(key);
      writer.add(key).catch((error: unknown) => {
        // When the database is back every listener looks again by itself.
        if (error instanceof CodedError && error.code === 'database.unavailable') return;
        throw error;
      });
    },
    drain: () => writer.drain(),
  };
}

function listenTo(channel: string): string {
  return `listen ${pg.escapeIdentifier(channel)}`;
}
