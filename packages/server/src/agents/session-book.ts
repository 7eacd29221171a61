import type { Conversation } from '@helixcode/agent/conversation';
import { takeOutcome } from '@helixcode/agent/take-outcome';
import type { ProjectId, SessionId, TaskId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import { type EntryRow, insertEntries, listWay, type NewEntry, type SessionCheckpoint, writeEntriesOfTask } from './session-sql.ts';

/** A conversation as the books have it. */
export interface Standing {
  conversation: Conversation;
  head: number;
  /** The newest checkpoint on the way; `undefined`: the files are those of the base. */
  checkpoint: SessionCheckpoint | undefined;
  /** Facts of the entry with which the calls under way were begun. */
  startedOn: EntryRow['facts']['attempt'];
}

/** The task does not want the work any more, or another one does it: whoever drives stops without a trace. */
export class NotDriven extends Error {}

/** Reads the way to an entry and folds it. */
export async function readStanding(db: Db, head: number): Promise<Standing> {
  return foldWay(await listWay(db, head));
}

export function foldWay(way: readonly EntryRow[]): Standing {
  const [first, ...rest] = way;
  if (first?.outcome.type !== 'began') throw new Error(`the way to entry ${way.at(-1)?.id} has no beginning`);
  let { conversation } = first.outcome;
  for (const { outcome } of rest) if (outcome.type !== 'began') conversation = takeOutcome(conversation, outcome);
  return {
    conversation,
    head: way.at(-1)?.id ?? first.id,
    checkpoint: way.findLast(({ checkpoint }) => checkpoint !== null)?.checkpoint ?? undefined,
    startedOn: way.findLast(({ type }) => type === 'tools_started')?.facts.attempt,
  };
}

/**
 * Writes down what happened, behind whatever others wrote meanwhile.
 *
 * @param task on whose behalf: when it is not the session's any more, or does not run, nothing is written
 * @param known the entry that the caller knew of
 * @returns where the session stands now, and whether somebody else wrote after `known`
 * @throws NotDriven
 */
export async function writeEntries(
  db: Db,
  session: SessionId,
  { task, root, known }: { task: TaskId; root: TaskId; known: number },
  entries: readonly NewEntry[],
): Promise<{ head: number; isOvertaken: boolean }> {
  const written = await writeEntriesOfTask(db, session, { task, root }, entries);
  if (!written) throw new NotDriven(`task ${task} is not driven any more`);
  return { head: written.head, isOvertaken: written.before !== known };
}

/** Writes entries behind where a locked session stands, and tells of them. @returns where it stands now */
export async function addEntries(
  tx: Db,
  session: { id: SessionId; head: number; root: TaskId; task: TaskId; project: ProjectId },
  entries: readonly NewEntry[],
): Promise<number> {
  const ids = await insertEntries(tx, session.id, session.head === 0 ? null : session.head, entries);
  await appendEvents(
    tx,
    entries.map(({ outcome }, index) => ({
      root: session.root,
      task: session.task,
      project: session.project,
      body: { type: 'session.entry', session: session.id, entry: ids[index] ?? 0, what: outcome.type },
    })),
  );
  return ids.at(-1) ?? session.head;
}
