import { type Conversation, personSays } from '@helixcode/agent/conversation';
import type { SessionView } from '@helixcode/protocol/api/session-views';
import { CodedError } from '@helixcode/protocol/errors';
import { isId, type SessionId, type UserId, type WorkerId } from '@helixcode/protocol/ids';
import type { AgentSpec } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import type { Handlers } from '../http/handler.ts';
import { changedFiles } from '../projects/changed-files.ts';
import { bundleOf, squashCommit } from '../projects/squash-commit.ts';
import { cancelTask } from '../tasks/cancel-task.ts';
import type { RestorePoint, TaskRow } from '../tasks/task-row.ts';
import { getTask } from '../tasks/task-sql.ts';
import type { AgentDeps } from './agent-deps.ts';
import type { AgentResult } from './agent-result.ts';
import { answerApproval, closeApprovals, listApprovals, lockApproval } from './approval-sql.ts';
import { findSeat } from './seat.ts';
import { addEntries, foldWay, readStanding } from './session-book.ts';
import {
  type EntryRow,
  findSession,
  listSessions,
  listWay,
  lockSession,
  moveHead,
  type NewEntry,
  type SessionRow,
  type StoredOutcome,
  setSettings,
  setTaskOfSession,
} from './session-sql.ts';
import { transcriptOf } from './session-transcript.ts';
import { viewApproval, viewEntry, viewSession } from './session-view.ts';
import { forkSession, insertAgentTask, setGoing, startSession, workspaceOf } from './start-session.ts';

type SessionRoutes =
  | 'sessions.start'
  | 'sessions.list'
  | 'sessions.get'
  | 'sessions.entries'
  | 'sessions.say'
  | 'sessions.fork'
  | 'sessions.rewind'
  | 'sessions.cancel'
  | 'sessions.transcript'
  | 'sessions.changes'
  | 'approvals.list'
  | 'approvals.answer';

export function sessionHandlers(deps: AgentDeps & { nameOfWorker(id: WorkerId): string }): Pick<Handlers, SessionRoutes> {
  const { db, mirrors } = deps;

  async function view(row: SessionRow): Promise<SessionView> {
    const [task, { conversation }, [asked], seat] = await Promise.all([
      getTask(db, row.task_id),
      readStanding(db, row.head),
      listApprovals(db, { session: row.id, all: false }),
      findSeat(db, row.task_id),
    ]);
    return viewSession(row, { task, conversation, asked, worker: seat && deps.nameOfWorker(seat.worker) });
  }

  async function get(id: string): Promise<SessionRow> {
    const row = isId('session', id) ? await findSession(db, id) : undefined;
    if (!row) throw new CodedError('session.not_found', `there is no session ${id}`, { next: 'helix sessions list' });
    return row;
  }

  /** Gives a session another task, which goes on from where the session will stand. In the caller's transaction. */
  async function newTask(tx: Db, session: SessionRow, user: UserId, restore: RestorePoint | undefined): Promise<TaskRow> {
    const spec = (await getTask(tx, session.task_id)).spec as AgentSpec;
    const workspace = await workspaceOf(deps, spec);
    const task = await insertAgentTask(tx, deps, { spec, title: session.title, user, workspace, settings: session.settings, restore });
    await setTaskOfSession(tx, session.id, task.id);
    return task;
  }

  async function restorable(session: SessionRow, way: readonly EntryRow[]): Promise<RestorePoint | undefined> {
    const { checkpoint } = foldWay(way);
    if (checkpoint && !(await mirrors.hasCommit(session.project_id, checkpoint.commit)))
      throw new CodedError('checkpoint.not_found', `the files of session ${session.id} at entry ${way.at(-1)?.id} are no longer kept`, {
        next: '`helix config show` tells how long they are: retention.checkpointDays',
      });
    return checkpoint && { number: checkpoint.number, commit: checkpoint.commit };
  }

  async function wayTo(session: SessionRow, entry: number | undefined): Promise<EntryRow[]> {
    const way = await listWay(db, session.head);
    if (entry === undefined) return way;
    const at = way.findIndex(({ id }) => id === entry);
    if (at === -1)
      throw new CodedError('session.entry_not_found', `session ${session.id} did not come by an entry ${entry}`, {
        next: `helix sessions show ${session.id}`,
      });
    return way.slice(0, at + 1);
  }

  return {
    'sessions.start': async ({ body, user }) => view(await startSession(deps, body, user)),

    'sessions.list': async ({ query }) => {
      const before = query.cursor === undefined ? undefined : (await get(query.cursor)).id;
      const rows = await listSessions(db, { project: query.project, before, limit: query.limit + 1 });
      const items = rows.slice(0, query.limit);
      const last = items.at(-1);
      return { items: await Promise.all(items.map(view)), ...(rows.length > query.limit && last && { cursor: last.id }) };
    },

    'sessions.get': async ({ params }) => view(await get(params.session)),

    'sessions.entries': async ({ params, query }) => {
      const session = await get(params.session);
      return { items: (await listWay(db, session.head, query.after)).slice(0, query.limit).map(viewEntry) };
    },

    'sessions.say': async ({ params, body, user }) => {
      const { id } = await get(params.session);
      const begun = await db.tx(async (tx) => {
        const session = await lockedSession(tx, id);
        const way = await listWay(tx, session.head);
        personSays(foldWay(way).conversation, body.text);
        const isOver = isSettled(session.task_state);
        const task = isOver ? await newTask(tx, session, user, await restorable(session, way)) : await getTask(tx, session.task_id);
        await closeApprovals(tx, id, ['parked']);
        await addEntries(tx, standingOf(session, task), [said(body.text)]);
        return isOver ? task : undefined;
      });
      if (begun) setGoing(deps, begun);
      else deps.wakeEvents();
      return view(await get(id));
    },

    'sessions.fork': async ({ params, body, user }) => {
      const session = await get(params.session);
      const way = await wayTo(session, body.entry);
      const restore = await restorable(session, way);
      const { conversation } = foldWay(way);
      if (body.text !== undefined) personSays(conversation, body.text);
      const entries: NewEntry[] = way.map(({ outcome, facts, checkpoint }) => ({ outcome, facts, ...(checkpoint && { checkpoint }) }));
      const spec = (await getTask(db, session.task_id)).spec as AgentSpec;
      const next = body.text === undefined ? waitsForWord(conversation, `forked from ${session.id}`) : [said(body.text)];
      return view(await forkSession(deps, { session, spec, way: [...entries, ...next], restore }, user));
    },

    'sessions.rewind': async ({ params, body, user }) => {
      const { id, task_id: left } = await get(params.session);
      // What it does now is about what comes after; the books refuse what it still tells.
      if (!isSettled((await getTask(db, left)).state)) await cancelTask(deps, left);
      const task = await db.tx(async (tx) => {
        const session = await lockedSession(tx, id);
        const way = await wayTo(session, body.entry);
        const task = await newTask(tx, session, user, await restorable(session, way));
        await moveHead(tx, id, body.entry);
        await addEntries(
          tx,
          { ...standingOf(session, task), head: body.entry },
          waitsForWord(foldWay(way).conversation, `taken back to entry ${body.entry}`),
        );
        return task;
      });
      setGoing(deps, task);
      return view(await get(id));
    },

    'sessions.cancel': async ({ params }) => {
      const session = await get(params.session);
      await cancelTask(deps, session.task_id);
      return view(session);
    },

    'sessions.transcript': async ({ params }) => {
      const session = await get(params.session);
      return { body: await transcriptOf(deps.providers, session, await listWay(db, session.head)) };
    },

    'sessions.changes': async ({ params }) => {
      const session = await get(params.session);
      const commit = await changesOf(session);
      if (commit === undefined)
        throw new CodedError('session.no_changes', `the agent of session ${session.id} has changed no file`, {
          next: `helix sessions show ${session.id}`,
        });
      return { body: await bundleOf(mirrors, session.project_id, commit, session.base_commit), headers: { 'helix-commit': commit } };
    },

    'approvals.list': async ({ query }) => ({
      items: (await listApprovals(db, { session: query.session, all: query.all })).map(viewApproval),
    }),

    'approvals.answer': async ({ params, body, user }) => {
      const row = await db.tx(async (tx) => {
        const asked = await lockApproval(tx, params.approval);
        if (!asked) throw new CodedError('approval.not_found', `nothing was asked as ${params.approval}`, { next: 'helix approvals list' });
        if (asked.answered_at)
          throw new CodedError('approval.answered', `${params.approval} was ${asked.is_accepted ? 'accepted' : 'refused'} already`, {
            next: `helix sessions show ${asked.session_id}`,
          });
        const answered = await answerApproval(tx, asked.id, { isAccepted: body.accept, text: body.text, by: user });
        const session = await lockedSession(tx, asked.session_id);
        const task = await getTask(tx, asked.task_id);
        if (asked.kind === 'parked' && body.accept) {
          const { conversation } = await readStanding(tx, session.head);
          if (body.budgetUsd !== undefined) await setSettings(tx, session.id, { ...session.settings, budgetUsd: body.budgetUsd });
          const { turns, wallMs } = conversation.limits;
          const limits = {
            ...(body.turns !== undefined && { turns: turns + body.turns }),
            ...(body.minutes !== undefined && { wallMs: wallMs + Math.round(body.minutes * 60_000) }),
          };
          const words = body.text === undefined ? [] : [said(body.text)];
          await addEntries(tx, standingOf(session, task), [{ outcome: { type: 'resumed', limits, atMs: Date.now() } }, ...words]);
        }
        await appendEvents(tx, [
          {
            root: task.root_id,
            task: task.id,
            project: session.project_id,
            body: { type: 'approval.answered', approval: asked.id, session: session.id, isAccepted: body.accept },
          },
        ]);
        return answered;
      });
      // What is not let go on has nothing more to do.
      if (row.kind === 'parked' && !body.accept) await cancelTask(deps, row.task_id);
      deps.wakeEvents();
      return viewApproval(row);
    },
  };

  async function lockedSession(tx: Db, id: SessionId): Promise<SessionRow & { task_state: TaskRow['state'] }> {
    const session = await lockSession(tx, id);
    if (!session) throw new CodedError('session.not_found', `there is no session ${id}`, { next: 'helix sessions list' });
    return session;
  }

  /** What it has changed so far, as one commit on its base. */
  async function changesOf(session: SessionRow): Promise<string | undefined> {
    const task = await getTask(db, session.task_id);
    const result = task.state === 'completed' ? (task.result as AgentResult | null) : null;
    if (result?.commit !== undefined && (await mirrors.hasCommit(session.project_id, result.commit))) return result.commit;
    const { checkpoint } = await readStanding(db, session.head);
    if (!checkpoint) return undefined;
    const { project_id: project, base_commit: base } = session;
    if ((await changedFiles(mirrors, project, base, checkpoint.commit)).length === 0) return undefined;
    const message = `${session.title}\n\nHelix-Session: ${session.id}\n`;
    return squashCommit(mirrors, project, { base, files: checkpoint.commit, message, at: session.created_at });
  }
}

function standingOf(session: SessionRow, task: TaskRow): Parameters<typeof addEntries>[1] {
  return { id: session.id, head: session.head, root: task.root_id, task: task.id, project: session.project_id };
}

function said(text: string): NewEntry {
  return { outcome: { type: 'person_said', text, atMs: Date.now() } };
}

/** A conversation that was taken somewhere does not go on by itself: somebody wants to say something else now. */
function waitsForWord(conversation: Conversation, why: string): NewEntry[] {
  if (conversation.ending !== undefined || conversation.parked !== undefined) {
    const outcome: StoredOutcome = { type: 'resumed', atMs: Date.now() };
    return [{ outcome }, parked(why)];
  }
  return [parked(why)];
}

function parked(why: string): NewEntry {
  return {
    outcome: {
      type: 'parked',
      reason: { code: 'agent.waits', message: `it was ${why}`, next: 'helix sessions say' },
      atMs: Date.now(),
    },
  };
}
