import type { ErrorFact } from '@helixcode/protocol/errors';
import type { ServerId, WorkerId } from '@helixcode/protocol/ids';
import type { WorkerCommand, WorkerState } from '@helixcode/protocol/worker/worker-state';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import { insertConnectivityEvent, updateState } from './worker-sql.ts';

/**
 * Moves a worker, with its history and the event, all or nothing.
 *
 * @param server who moves it: the one that holds its link
 * @param reason why it is not up from now on; absent clears the old one
 * @returns `undefined` where its present state knows no such move: nothing happened
 */
export function moveWorker(
  db: Db,
  worker: WorkerId,
  server: ServerId,
  command: WorkerCommand,
  reason?: ErrorFact,
): Promise<{ from: WorkerState; to: WorkerState } | undefined> {
  return db.tx(async (tx) => {
    const move = await updateState(tx, worker, server, command, reason);
    if (!move) return undefined;
    await insertConnectivityEvent(tx, worker, { ...move, command, reason });
    await appendEvents(tx, [{ worker, body: { type: 'worker.moved', ...move, command, ...(reason && { reason }) } }]);
    return move;
  });
}
