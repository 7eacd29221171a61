import type { ServerView } from '@helixcode/protocol/api/views';
import type { ServerConfig } from './config.ts';
import type { Db } from './db/db.ts';
import { listLeases } from './fleet/lease-sql.ts';
import type { Handlers } from './http/handler.ts';
import type { LoopDelay } from './loop-delay.ts';
import { countTakenSlots } from './tasks/attempt-sql.ts';
import { countUnsettledRoots } from './tasks/task-sql.ts';
import type { WorkerPool } from './workers/worker-pool.ts';
import { countHeldWorkers } from './workers/worker-sql.ts';

export interface ServerFacts {
  id: string;
  version: string;
  url(): string;
  startedAt: Date;
  database: ServerView['database'];
}

/** Values of these keys may hold a password. */
const SECRET_KEYS = new Set(['database.url']);

export function serverHandlers(deps: {
  db: Db;
  pool: WorkerPool;
  config: ServerConfig;
  facts: ServerFacts;
  loopDelay: Pick<LoopDelay, 'p99Ms'>;
}): Pick<Handlers, 'server.get' | 'server.config' | 'servers.list'> {
  const { db, pool, config, facts, loopDelay } = deps;
  return {
    'servers.list': async () => {
      const [leases, held] = await Promise.all([listLeases(db), countHeldWorkers(db)]);
      return {
        items: leases.map((lease) => ({
          id: lease.server_id,
          url: lease.url,
          version: lease.version,
          state: lease.state === 'ended' || lease.is_expired ? ('lost' as const) : lease.state,
          host: lease.host,
          since: lease.started_at.toISOString(),
          workers: held.get(lease.server_id) ?? 0,
          isAnswering: lease.server_id === facts.id,
        })),
      };
    },
    'server.get': async () => {
      const [tasks, taken] = await Promise.all([countUnsettledRoots(db), countTakenSlots(db)]);
      const workers = pool.workers();
      const states: Record<string, number> = {};
      for (const worker of workers) states[worker.state] = (states[worker.state] ?? 0) + 1;
      return {
        id: facts.id,
        version: facts.version,
        url: facts.url(),
        startedAt: facts.startedAt.toISOString(),
        database: facts.database,
        workers: states,
        slots: {
          total: workers.filter((worker) => worker.state === 'up').reduce((sum, worker) => sum + worker.slots, 0),
          taken: taken.reduce((sum, row) => sum + row.taken, 0),
        },
        tasks,
        loopDelayP99Ms: loopDelay.p99Ms(),
      };
    },
    'server.config': async () => ({
      values: config.values.map((value) =>
        SECRET_KEYS.has(value.key) && value.value !== undefined ? { ...value, value: '(secret)' } : value,
      ),
    }),
  };
}
