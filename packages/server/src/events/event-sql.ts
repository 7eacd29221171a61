import type { Event, EventBody } from '@helixcode/protocol/event/events';
import type { Db } from '../db/db.ts';

interface EventRow {
  seq: number;
  at: Date;
  root_id: string | null;
  task_id: string | null;
  worker_id: string | null;
  project_id: string | null;
  body: EventBody;
}

/** What happened, and to what, as far as each applies. */
export interface NewEvent {
  /** The root task of the tree it belongs to. */
  root?: string;
  task?: string;
  worker?: string;
  project?: string;
  body: EventBody;
}

/** Writes events, in this order, as part of the transaction in which they became true. */
export async function insertEvents(tx: Db, events: readonly NewEvent[]): Promise<void> {
  await tx.query(
    `insert into events (root_id, task_id, worker_id, project_id, body)
     select root, task, worker, project, body::jsonb
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
            with ordinality as news (root, task, worker, project, body, place)
      order by place`,
    [
      events.map((event) => event.root ?? null),
      events.map((event) => event.task ?? null),
      events.map((event) => event.worker ?? null),
      events.map((event) => event.project ?? null),
      events.map((event) => JSON.stringify(event.body)),
    ],
  );
}

/** The first `limit` events about `topic` with `after < seq ≤ upto`, oldest first. */
export async function readEvents(db: Db, topic: string, after: number, upto: number, limit: number): Promise<Event[]> {
  const [subject = '', id = ''] = topic.split(':');
  // The two that are read again and again have an index of their own.
  if (subject === 'task') return readEventsOfRoot(db, id, after, upto, limit);
  if (subject === 'worker') return readEventsOfWorker(db, id, after, upto, limit);
  return readEventsOfSubject(db, subject, id, after, upto, limit);
}

async function readEventsOfRoot(db: Db, root: string, after: number, upto: number, limit: number): Promise<Event[]> {
  const { rows } = await db.query<EventRow>(
    `select seq, at, root_id, task_id, worker_id, project_id, body from events
      where root_id = $1 and seq > $2 and seq <= $3 order by seq limit $4`,
    [root, after, upto, limit],
  );
  return rows.map(toEvent);
}

async function readEventsOfWorker(db: Db, worker: string, after: number, upto: number, limit: number): Promise<Event[]> {
  const { rows } = await db.query<EventRow>(
    `select seq, at, root_id, task_id, worker_id, project_id, body from events
      where worker_id = $1 and seq > $2 and seq <= $3 order by seq limit $4`,
    [worker, after, upto, limit],
  );
  return rows.map(toEvent);
}

/** The same rule as `isAbout`. */
async function readEventsOfSubject(db: Db, subject: string, id: string, after: number, upto: number, limit: number): Promise<Event[]> {
  const { rows } = await db.query<EventRow>(
    `select seq, at, root_id, task_id, worker_id, project_id, body from events
      where seq > $1 and seq <= $2
        and case $4
              when 'all' then true
              when 'project' then project_id = $5
              when 'tasks' then body->>'type' like 'task.%' or body->>'type' like 'attempt.%'
              when 'workers' then body->>'type' like 'worker.%'
              when 'projects' then body->>'type' like 'project.%'
              else false
            end
      order by seq limit $3`,
    [after, upto, limit, subject, id],
  );
  return rows.map(toEvent);
}

/** Events after `after` as they stand committed at this moment: one with a lower number may still come. */
export async function readCommittedEvents(db: Db, after: number, limit: number): Promise<Event[]> {
  const { rows } = await db.query<EventRow>(
    `select seq, at, root_id, task_id, worker_id, project_id, body from events where seq > $1 order by seq limit $2`,
    [after, limit],
  );
  return rows.map(toEvent);
}

/** The lowest and the highest number among the rows; 0 where there are none. */
export async function readLogEnds(db: Db): Promise<{ oldest: number; newest: number }> {
  const { rows } = await db.query<{ oldest: number | null; newest: number | null }>(
    `select (select min(seq) from events) as oldest, (select max(seq) from events) as newest`,
  );
  return { oldest: rows[0]?.oldest ?? 0, newest: rows[0]?.newest ?? 0 };
}

/** The highest number that any transaction was given, also one that is not committed or was undone; 0 before the first. */
export async function readLastNumber(db: Db): Promise<number> {
  const { rows } = await db.query<{ last: number | null }>(
    `select pg_sequence_last_value(pg_get_serial_sequence('events', 'seq')::regclass) as last`,
  );
  return rows[0]?.last ?? 0;
}

/**
 * The transactions that are writing events at this moment. An insert takes this lock before it takes a number, and the
 * lock is released after its commit became visible: what is not in the list can no longer fill a gap seen before.
 */
export async function readEventWriters(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ writer: string }>(
    `select distinct virtualtransaction as writer
       from pg_locks
      where locktype = 'relation' and mode = 'RowExclusiveLock' and relation = 'events'::regclass
        and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.map(({ writer }) => writer);
}

function toEvent(row: EventRow): Event {
  return {
    seq: row.seq,
    at: row.at.toISOString(),
    ...(row.root_id !== null && { root: row.root_id }),
    ...(row.task_id !== null && { task: row.task_id }),
    ...(row.worker_id !== null && { worker: row.worker_id }),
    ...(row.project_id !== null && { project: row.project_id }),
    body: row.body,
  };
}
