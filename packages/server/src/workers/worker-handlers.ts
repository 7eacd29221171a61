import type { WorkerView } from '@helixcode/protocol/api/views';
import type { Db } from '../db/db.ts';
import type { Handlers } from '../http/handler.ts';
import type { WorkerRegistry } from './worker-registry.ts';
import { listConnectivityEvents } from './worker-sql.ts';
import type { WorkerSupervisor } from './worker-supervisor.ts';
import { viewWorker } from './worker-view.ts';

type WorkerRoutes =
  | 'workers.list'
  | 'workers.add'
  | 'workers.enrol'
  | 'workers.get'
  | 'workers.events'
  | 'workers.accept-key'
  | 'workers.revoke-key'
  | 'workers.admission'
  | 'workers.reconnect'
  | 'workers.remove';

export function workerHandlers({ db, registry }: { db: Db; registry: WorkerRegistry }): Pick<Handlers, WorkerRoutes> {
  const view = (worker: WorkerSupervisor): WorkerView => viewWorker(worker, registry.addressOf(worker.row));

  return {
    'workers.list': async () => ({ items: registry.all().map(view) }),
    'workers.add': async ({ body }) => view(await registry.add(body)),
    'workers.enrol': async ({ body }) => {
      const { worker, token, expiresAt } = await registry.enrol(body);
      return { worker: view(worker), token, expiresAt: expiresAt.toISOString() };
    },

    'workers.get': async ({ params }) => view(registry.find(params.worker)),

    'workers.events': async ({ params, query }) => {
      const rows = await listConnectivityEvents(db, registry.find(params.worker).row.id, query.limit);
      return {
        items: rows.map(({ at, command, from_state, to_state, reason }) => ({
          at: at.toISOString(),
          from: from_state,
          to: to_state,
          command,
          ...(reason && { reason }),
        })),
      };
    },

    'workers.accept-key': async ({ params, body }) => {
      const worker = registry.find(params.worker);
      await registry.acceptKey(worker, body.fingerprint);
      return view(worker);
    },

    'workers.revoke-key': async ({ params }) => {
      const worker = registry.find(params.worker);
      await registry.revokeKey(worker, params.fingerprint);
      return view(worker);
    },

    'workers.admission': async ({ params, body }) => {
      const worker = registry.find(params.worker);
      await registry.setAdmission(worker, body.admission);
      return view(worker);
    },

    'workers.reconnect': async ({ params, body }) => {
      const worker = registry.find(params.worker);
      await registry.reconnect(worker, body.password);
      return view(worker);
    },

    'workers.remove': async ({ params, query }) => {
      const worker = registry.find(params.worker);
      return { removed: worker.row.id, uninstalled: await registry.remove(worker, query.force) };
    },
  };
}
