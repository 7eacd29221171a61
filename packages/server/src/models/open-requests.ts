import type { RequestId, ServerId } from '@helixcode/protocol/ids';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import { giveUpRequests, renewLeases } from './request-sql.ts';

/** After so long without a word of its server a call counts as unknown. */
export const REQUEST_LEASE_MS = 180_000;
const RENEW_MS = 30_000;

/** The calls of this server that are under way; the database hears regularly that they still are. */
export interface OpenRequests {
  add(id: RequestId): void;
  /** Its outcome is booked, or nobody will tell it any more. */
  remove(id: RequestId): void;
  stop(): Promise<void>;
}

/**
 * Gives up at once on what this server had under way when it last ended, and from then on regularly on what any server left.
 */
export async function watchOpenRequests({ db, log, server }: { db: Db; log: Logger; server: ServerId }): Promise<OpenRequests> {
  const open = new Set<RequestId>();
  const giveUp = async (restarted?: ServerId): Promise<void> => {
    const ids = await giveUpRequests(db, restarted);
    if (ids.length > 0) log.warn({ requests: ids }, 'calls of models whose outcome is not known were booked at the most they can cost');
  };
  await giveUp(server);

  let turn: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    turn = turn
      .then(async () => {
        if (open.size > 0) await renewLeases(db, [...open], REQUEST_LEASE_MS);
        await giveUp();
      })
      .catch((error: unknown) => log.warn({ err: error }, 'open calls of models could not be looked after; it is tried again'));
  }, RENEW_MS);
  timer.unref();

  return {
    add: (id) => void open.add(id),
    remove: (id) => void open.delete(id),
    async stop() {
      clearInterval(timer);
      await turn;
    },
  };
}
