import type { Db } from '../db/db.ts';
import { insertEvents, type NewEvent } from './event-sql.ts';

export type { NewEvent };

/**
 * Tells what happened, in the transaction in which it becomes true: undone together with it, never told without it.
 * Wake the tail after the commit, so that those who listen hear of it at once.
 *
 * @param events in the order they happened; none is fine
 */
export async function appendEvents(tx: Db, events: readonly NewEvent[]): Promise<void> {
  if (events.length > 0) await insertEvents(tx, events);
}
