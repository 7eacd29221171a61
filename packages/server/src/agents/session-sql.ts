import type { Conversation } from '@helixcode/agent/conversation';
import type { Outcome } from '@helixcode/agent/take-outcome';
import type { AttemptId, ProjectId, SessionId, TaskId, UserId } from '@helixcode/protocol/ids';
import type { SessionEntryType } from '@helixcode/protocol/session/session';
import type { TaskState } from '@helixcode/protocol/task/task-state';
import type { Db } from '../db/db.ts';
import type { RestorePoint } from '../tasks/task-row.ts';

/** What was chosen for a session, and holds for all its tasks. */
export interface SessionSettings {
  /** `provider/model`, this one and no other; absent: as the routes of helix.json have it. */
  model?: string;
  /** `provider/model` it began with. */
  firstModel: string;
  budgetUsd?: number;
  /** Of a part of a run: what it may cost by itself. */
  spendUsd?: number;
  requires: string[];
  worker?: string;
}

/** A row of `sessions`. */
export interface SessionRow {
  id: SessionId;
  project_id: ProjectId;
  user_id: UserId;
  title: string;
  mode: 'work' | 'plan';
  base_commit: string;
  settings: SessionSettings;
  task_id: TaskId;
  head: number;
  fork_of: SessionId | null;
  run_id: string;
  created_at: Date;
}

/** The first entry of a session has the conversation as it began; each other one what happened next. */
export type StoredOutcome = { type: 'began'; conversation: Conversation; atMs: number } | Outcome;

export interface EntryFacts {
  /** Where calls were begun. */
  attempt?: AttemptId;
  /** The answer was played from a recording. */
  replayed?: true;
}

/** A checkpoint as a session refers to it. */
export interface SessionCheckpoint extends RestorePoint {
  task: TaskId;
}

/** A row of `session_entries`. */
export interface EntryRow {
  id: number;
  session_id: SessionId;
  parent_id: number | null;
  type: SessionEntryType;
  outcome: StoredOutcome;
  facts: EntryFacts;
  checkpoint: SessionCheckpoint | null;
  at: Date;
}

export interface NewEntry {
  outcome: StoredOutcome;
  facts?: EntryFacts | undefined;
  checkpoint?: SessionCheckpoint | undefined;
}

export async function insertSession(tx: Db, session: Omit<SessionRow, 'created_at' | 'head'>): Promise<SessionRow> {
  const { rows } = await tx.query<SessionRow>(
    `insert into sessions (id, project_id, user_id, title, mode, base_commit, settings, task_id, fork_of, run_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *`,
    [
      session.id,
      session.project_id,
      session.user_id,
      session.title,
      session.mode,
      session.base_commit,
      JSON.stringify(session.settings),
      session.task_id,
      session.fork_of,
      session.run_id,
    ],
  );
  return rows[0] as SessionRow;
}

export async function findSession(db: Db, id: SessionId): Promise<SessionRow | undefined> {
  const { rows } = await db.query<SessionRow>(`select * from sessions where id = $1`, [id]);
  return rows[0];
}

export async function findSessionOfTask(db: Db, task: TaskId): Promise<SessionRow | undefined> {
  const { rows } = await db.query<SessionRow>(`select * from sessions where task_id = $1`, [task]);
  return rows[0];
}

/** Locks the session with the state of its task: who writes into it writes alone. */
export async function lockSession(tx: Db, id: SessionId): Promise<(SessionRow & { task_state: TaskState }) | undefined> {
  const { rows } = await tx.query<SessionRow & { task_state: TaskState }>(
    `select s.*, t.state as task_state from sessions s join distributed_tasks t on t.id = s.task_id where s.id = $1 for update of s`,
    [id],
  );
  return rows[0];
}

/** Newest first. @param before only those older than this one */
export async function listSessions(
  db: Db,
  filter: { project: string | undefined; before: SessionId | undefined; limit: number },
): Promise<SessionRow[]> {
  const { rows } = await db.query<SessionRow>(
    `select s.* from sessions s join projects p on p.id = s.project_id
      where ($1::text is null or s.project_id = $1 or p.name = $1)
        and ($2::text is null or (s.created_at, s.id) < (select created_at, id from sessions where id = $2))
      order by s.created_at desc, s.id desc limit $3`,
    [filter.project ?? null, filter.before ?? null, filter.limit],
  );
  return rows;
}

/** Puts entries behind each other and behind `parent`, and moves where the session stands to the last of them. @returns their ids, in their order */
export async function insertEntries(tx: Db, session: SessionId, parent: number | null, entries: readonly NewEntry[]): Promise<number[]> {
  const { rows } = await tx.query<{ id: number }>(
    `with given as (
       select nextval(pg_get_serial_sequence('session_entries', 'id')) as id, place, outcome, facts, checkpoint
         from (select * from rows from (unnest($3::jsonb[]), unnest($4::jsonb[]), unnest($5::jsonb[])) with ordinality
                 as one (outcome, facts, checkpoint, place) order by place) ordered),
     added as (
       insert into session_entries (id, session_id, parent_id, type, outcome, facts, checkpoint)
       overriding system value
       select id, $1, coalesce(lag(id) over (order by place), $2::bigint), outcome->>'type', outcome, facts, nullif(checkpoint, 'null') from given
       returning id),
     moved as (update sessions set head = (select max(id) from given) where id = $1)
     select id from added order by id`,
    [
      session,
      parent,
      entries.map(({ outcome }) => JSON.stringify(outcome)),
      entries.map(({ facts }) => JSON.stringify(facts ?? {})),
      entries.map(({ checkpoint }) => JSON.stringify(checkpoint ?? null)),
    ],
  );
  return rows.map(({ id }) => id);
}

/**
 * Puts entries behind where a session stands, and tells of them, in one statement: every turn of an agent waits for it. Nothing is written when the session is not that
 * task's any more, or the task does not run.
 *
 * @returns where it stood, and the newest entry; `undefined` when nothing was written
 */
export async function writeEntriesOfTask(
  db: Db,
  session: SessionId,
  { task, root }: { task: TaskId; root: TaskId },
  entries: readonly NewEntry[],
): Promise<{ before: number; head: number } | undefined> {
  const { rows } = await db.query<{ before: number; head: number }>(
    `with locked as (
       select s.head, s.project_id from sessions s join distributed_tasks t on t.id = s.task_id
        where s.id = $1 and s.task_id = $2 and t.state = 'running' for update of s),
     given as (
       select nextval(pg_get_serial_sequence('session_entries', 'id')) as id, place, outcome, facts, checkpoint, head, project_id
         from (select * from rows from (unnest($4::jsonb[]), unnest($5::jsonb[]), unnest($6::jsonb[])) with ordinality
                 as one (outcome, facts, checkpoint, place), locked order by place) ordered),
     added as (
       insert into session_entries (id, session_id, parent_id, type, outcome, facts, checkpoint)
       overriding system value
       select id, $1, coalesce(lag(id) over (order by place), nullif(head, 0)), outcome->>'type', outcome, facts, nullif(checkpoint, 'null') from given),
     moved as (update sessions set head = (select max(id) from given) where id = $1 and exists (select from given)),
     told as (
       insert into events (root_id, task_id, project_id, body)
       select $3, $2, project_id, jsonb_build_object('type', 'session.entry', 'session', $1::text, 'entry', id, 'what', outcome->>'type')
         from given order by place)
     select head as before, max(id) as head from given group by head`,
    [
      session,
      task,
      root,
      entries.map(({ outcome }) => JSON.stringify(outcome)),
      entries.map(({ facts }) => JSON.stringify(facts ?? {})),
      entries.map(({ checkpoint }) => JSON.stringify(checkpoint ?? null)),
    ],
  );
  const [row] = rows;
  return row && { before: row.before, head: row.head };
}

export async function moveHead(tx: Db, session: SessionId, head: number): Promise<void> {
  await tx.query(`update sessions set head = $2 where id = $1`, [session, head]);
}

export async function setTaskOfSession(tx: Db, session: SessionId, task: TaskId): Promise<void> {
  await tx.query(`update sessions set task_id = $2 where id = $1`, [session, task]);
}

export async function setBaseOfSession(tx: Db, session: SessionId, base: string): Promise<void> {
  await tx.query(`update sessions set base_commit = $2 where id = $1`, [session, base]);
}

export async function setSettings(tx: Db, session: SessionId, settings: SessionSettings): Promise<void> {
  await tx.query(`update sessions set settings = $2 where id = $1`, [session, JSON.stringify(settings)]);
}

/** The way from the beginning to an entry, oldest first. @param after only what is behind this entry of the way */
export async function listWay(db: Db, head: number, after = 0): Promise<EntryRow[]> {
  const { rows } = await db.query<EntryRow>(
    `with recursive way as (
       select e.* from session_entries e where e.id = $1 and e.id > $2
       union all
       select e.* from way w join session_entries e on e.id = w.parent_id where e.id > $2)
     select * from way order by id`,
    [head, after],
  );
  return rows;
}
