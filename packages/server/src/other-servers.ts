import type { Logger } from 'pino';
import type { Db } from './db/db.ts';
import type { Listener, Notifier } from './db/listen.ts';
import type { Fleet } from './fleet/fleet.ts';
import { openFleetCalls } from './fleet/fleet-calls.ts';
import { isNewerVersion } from './fleet/newer-version.ts';
import type { OtherServers, WorkerRegistry } from './workers/worker-registry.ts';

/** Says that something about workers has changed; the payload names the server that changed it. */
const CHANNEL = 'helix_workers';
const LOOK_MS = 1_000;
/** What one look leaves to the others is looked at again so soon. */
const LOOK_AGAIN_MS = 250;

export interface FollowedParts {
  registry: Pick<WorkerRegistry, 'refresh' | 'sendRouted'>;
  /** Takes over drivers of servers that are gone. */
  adopt(): Promise<unknown>;
}

/** The other servers of the database: what they are told and asked, and what becomes of what a dead one held. */
export function openOtherServers(options: {
  db: Db;
  fleet: Fleet;
  listener: Listener;
  notifier: Notifier;
  log: Logger;
  version: string;
}): OtherServers & { follow(parts: FollowedParts): void; close(): void } {
  const { fleet, listener, notifier, log, version } = options;
  const calls = openFleetCalls({ ...options, serverId: fleet.serverId, isAlone: fleet.isAlone });
  let timer: NodeJS.Timeout | undefined;
  let again: NodeJS.Timeout | undefined;

  return {
    count: () => fleet.servers().filter(({ state }) => state === 'live').length,
    isDraining: fleet.isDraining,
    isNewerAgent(agent) {
      const startedAt = fleet.servers().find((server) => server.server_id === fleet.serverId)?.started_at ?? new Date();
      return fleet.servers().some(
        (server) =>
          server.server_id !== fleet.serverId &&
          server.agent === agent &&
          // Two builds of one release: the later start is the later one.
          (isNewerVersion(server.version, version) || (server.version === version && server.started_at > startedAt)),
      );
    },
    tellChange: () => notifier.notify(CHANNEL, fleet.serverId),
    wake: calls.wake,
    ask: calls.ask,
    serve: calls.serve,

    follow({ registry, adopt }) {
      const look = oneAtATime(async () => {
        clearTimeout(again);
        if (await registry.refresh()) again = setTimeout(look, LOOK_AGAIN_MS);
      });
      const send = oneAtATime(() => registry.sendRouted());
      const adoptDrivers = oneAtATime(async () => {
        if (fleet.isFirst()) await adopt();
      });
      fleet.onChange(look);
      fleet.onChange(adoptDrivers);
      calls.onWake(send);
      void listener.on(CHANNEL, (payload) => payload !== fleet.serverId && look()).catch(() => {});
      timer = setInterval(() => {
        if (fleet.isAlone()) return;
        look();
        send();
      }, LOOK_MS);
      look();
      adoptDrivers();
    },

    close() {
      clearInterval(timer);
      clearTimeout(again);
      calls.close();
    },
  };

  /** Calls made while one is under way lead to one more. */
  function oneAtATime(act: () => Promise<unknown>): () => void {
    let isUnderWay = false;
    let isAsked = false;
    return () => {
      isAsked = true;
      if (isUnderWay) return;
      isUnderWay = true;
      void (async () => {
        while (isAsked) {
          isAsked = false;
          await act();
        }
      })()
        .catch((error: unknown) => log.warn({ err: error }, 'what other servers left could not be looked at and will be again'))
        .finally(() => {
          isUnderWay = false;
        });
    };
  }
}
