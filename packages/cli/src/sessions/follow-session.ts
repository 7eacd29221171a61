import type { ApprovalView, SessionEntryView, SessionView } from '@helixcode/protocol/api/session-views';
import { CodedError } from '@helixcode/protocol/errors';
import type { Event } from '@helixcode/protocol/event/events';
import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import type { SessionState } from '@helixcode/protocol/session/session';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Connection } from '../connect.ts';
import { type Interrupts, listenToInterrupts } from '../follow/interrupts.ts';
import type { HelixContext } from '../helix-context.ts';
import { createAnswerer } from './answer-approvals.ts';
import { createEntryReader, type EntryReader } from './entry-lines.ts';
import { readEntries } from './read-entries.ts';
import { openSessionScreen, type SessionScreen } from './session-screen.ts';

export interface FollowOptions {
  /** Follow for so long at most. */
  waitMs?: number | undefined;
  /** Plans and permissions are agreed to without asking. */
  agrees?: boolean;
  /** Entries that are shown of what was before; all when absent, but for the goal, which the person has just given. */
  shownBefore?: number;
}

/** How following ended. */
export interface Followed {
  session: SessionView;
  /** What it waits for, where it waits for a person. */
  approvals: ApprovalView[];
  /** Code of what stopped it, where it stopped by itself. */
  parkedBecause: string | undefined;
}

/** Reason to stop: the person at the terminal leaves open what was asked. */
const LEFT_OPEN = 'left open';

/** What is known of a session while it is followed. */
interface Following {
  context: HelixContext;
  connection: Connection;
  id: string;
  options: FollowOptions;
  stop: AbortController;
  interrupts: Interrupts;
  reader: EntryReader;
  screen: SessionScreen;
  /** The newest entry that was read; 0 before the first. */
  lastEntry: number;
  /** Words that may be the last ones: those go to stdout, in the end. */
  held: string[];
}

/**
 * Follows a session until it is over or waits for a person whom nobody can ask here: what the agent says and one line per call
 * on stderr, each entry as JSON on stdout with `--jsonl`. Questions are asked in place where a person can be asked. Ctrl-C
 * detaches; a second one cancels, after asking.
 *
 * @returns `undefined` when the person detached (the exit status is set)
 * @throws CodedError `cli.wait_timed_out`
 */
export async function followSession(
  context: HelixContext,
  connection: Connection,
  id: string,
  options: FollowOptions,
): Promise<Followed | undefined> {
  const stop = new AbortController();
  const back = `helix sessions attach ${id}`;
  const interrupts = listenToInterrupts(context, stop, {
    what: `session ${id}`,
    back,
    cancel: () => connection.call('sessions.cancel', { params: { session: id } }),
  });
  const stopUnread = (): void => stop.abort();
  context.readerGone.addEventListener('abort', stopUnread);
  const { waitMs } = options;
  const timedOut = (): void =>
    stop.abort(
      new CodedError('cli.wait_timed_out', `session ${id} is not over after ${(waitMs ?? 0) / 1_000} s; it goes on`, { next: back }),
    );
  const timer = waitMs === undefined ? undefined : setTimeout(timedOut, waitMs);
  const reader = createEntryReader(context.out.noteStyle);
  const screen = openSessionScreen(context);
  const following = { context, connection, id, options, stop, interrupts, reader, screen, lastEntry: 0, held: [] };
  const live = await connection.live();
  try {
    for (;;) {
      const end = await followOnce(following);
      if (end !== 'again') return end;
    }
  } finally {
    clearTimeout(timer);
    interrupts.close();
    screen.close();
    live.close();
    context.readerGone.removeEventListener('abort', stopUnread);
  }
}

/** @returns `again` when its work has become another task, or more happened than the server keeps */
async function followOnce(following: Following): Promise<Followed | undefined | 'again'> {
  const { context, connection, id, stop, screen } = following;
  const read = (): Promise<SessionView> => connection.call('sessions.get', { params: { session: id } });
  const present = await read();
  if (isOver(present.state)) {
    await showNewEntries(following);
    return { session: present, approvals: [], parkedBecause: undefined };
  }
  const { task } = present;
  const { root, tree } = await connection.call('tasks.get', { params: { task } });
  for (const part of tree) screen.waits(part.id, part.state === 'pending' ? part.waitingFor : undefined);
  const topic = `task:${root}`;
  // The sequence number comes first: what happens while the session is read is told again, and then changes nothing.
  const { newest } = await connection.call('events.list', { query: { topic, limit: 1 } });
  const answerer = createAnswerer(context, connection, {
    agrees: following.options.agrees ?? false,
    onInterrupt: following.interrupts.interrupt,
    onLeftOpen: () => stop.abort(LEFT_OPEN),
    onError: (error) => stop.abort(error),
  });
  let asksSomething = true;
  const look = async (): Promise<Followed | 'again' | undefined> => {
    const session = await read();
    await showNewEntries(following);
    if (isOver(session.state)) return { session, approvals: [], parkedBecause: undefined };
    if (session.task !== task) return 'again';
    screen.update(session, following.reader.doing());
    asksSomething ||= session.state === 'parked';
    if (!asksSomething) return undefined;
    const { items } = await connection.call('approvals.list', { query: { session: id } });
    const open = items.filter(({ answeredAt }) => answeredAt === undefined);
    asksSomething = open.length > 0;
    const parkedBecause = following.reader.parkedBecause()?.code;
    if (await answerer.consider(open, parkedBecause)) return undefined;
    showHeld(following);
    return { session, approvals: open, parkedBecause };
  };

  try {
    const first = await look();
    if (first !== undefined) return first;
    const live = await connection.live();
    for await (const event of live.subscribe({ topic, after: newest, signal: stop.signal })) {
      if (event.body.type === 'approval.asked') asksSomething = true;
      if (event.body.type === 'task.waiting') screen.waits(event.task ?? '', event.body.reason);
      if (event.body.type === 'task.moved') screen.waits(event.task ?? '', undefined);
      if (event.body.type === 'task.progress' && event.task !== task) screen.progress(event.body);
      if (!isNews(event, following, task)) continue;
      const end = await look();
      if (end !== undefined) return end;
    }
  } catch (error) {
    if (error instanceof CodedError && error.code === 'api.cursor_too_old') return 'again';
    throw error;
  } finally {
    answerer.close();
  }
  showHeld(following);
  const reason: unknown = stop.signal.reason;
  if (reason === LEFT_OPEN) return leftOpen(following);
  if (reason instanceof Error && reason.name !== 'AbortError') throw reason;
  if (!context.readerGone.aborted) context.exitStatus = EXIT_CODES.interrupted.status;
  return undefined;
}

async function leftOpen({ connection, id, reader }: Following): Promise<Followed> {
  const [session, { items }] = await Promise.all([
    connection.call('sessions.get', { params: { session: id } }),
    connection.call('approvals.list', { query: { session: id } }),
  ]);
  const approvals = items.filter(({ answeredAt }) => answeredAt === undefined);
  return { session, approvals, parkedBecause: reader.parkedBecause()?.code };
}

export function isOver(state: SessionState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}

function isNews({ task: subject, body }: Event, { id, lastEntry }: Following, task: string): boolean {
  switch (body.type) {
    case 'session.entry':
      return body.session === id && body.entry > lastEntry;
    case 'approval.asked':
    case 'approval.answered':
      return body.session === id;
    case 'task.moved':
      return subject === task && (isSettled(body.to) || body.to === 'paused' || body.to === 'running');
    default:
      return false;
  }
}

/** Shows what was said and done since the last look; at the first one only the end of it. */
async function showNewEntries(following: Following): Promise<void> {
  const { context, connection, id, reader, screen, options } = following;
  const isFirst = following.lastEntry === 0;
  const entries = await readEntries(connection, id, following.lastEntry);
  const { shownBefore } = options;
  const hidden = isFirst && shownBefore !== undefined ? entries.length - shownBefore : 0;
  for (const [index, entry] of entries.entries()) {
    following.lastEntry = Math.max(following.lastEntry, entry.id);
    const lines = reader.read(entry);
    if (index < hidden) continue;
    if (context.out.format === 'jsonl') context.out.json({ entry });
    if (shownBefore === undefined && entry.type === 'began') continue;
    if (!isPassedCheck(entry)) showHeld(following);
    if (entry.type === 'model_answered' && (entry.calls ?? []).length === 0) following.held = lines;
    else screen.show(lines);
  }
}

/** Between the last words and the end stand the checks that were passed. */
function isPassedCheck({ type, receipts = [] }: SessionEntryView): boolean {
  return type === 'evidence_given' && receipts.every(({ exitCode }) => exitCode === 0);
}

function showHeld(following: Following): void {
  following.screen.show(following.held);
  following.held = [];
}
