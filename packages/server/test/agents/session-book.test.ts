import { newId, type SessionId } from '@helixcode/protocol/ids';
import { addEntries, NotDriven, writeEntries } from '@helixcode/server/agents/session-book';
import { insertSession, listWay, lockSession, type NewEntry } from '@helixcode/server/agents/session-sql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenTasks, givenTasks } from '../support/given-tasks.ts';

let database: TestDatabase;
let given: GivenTasks;
const project = newId('project');
const user = newId('user');

beforeAll(async () => {
  database = await givenDatabase();
  given = await givenTasks(database);
  await database.db.query(`insert into projects (id, name) values ($1, 'sample')`, [project]);
  await database.db.query(`insert into users (id, name, role) values ($1, 'somebody', 'member')`, [user]);
});
afterAll(async () => {
  await given.end();
  await database.drop();
});

const said = (text: string): NewEntry => ({ outcome: { type: 'person_said', text, atMs: 0 } });
const textsOf = async (head: number): Promise<unknown[]> =>
  (await listWay(database.db, head)).map(({ outcome }) => (outcome as { text?: string }).text);

async function givenSession(): Promise<{ id: SessionId; task: Awaited<ReturnType<GivenTasks['submit']>> }> {
  const task = await given.submit({ kind: 'shell', spec: { command: 'true' } });
  const { attempt } = await given.pool.nextAssigned();
  await given.report(attempt, { state: 'running', streams: {} });
  await given.until(task, 'running');
  const id = newId('session');
  await database.db.tx(async (tx) => {
    await insertSession(tx, {
      id,
      project_id: project,
      user_id: user,
      title: 'sample',
      mode: 'work',
      base_commit: 'c'.repeat(40),
      settings: { firstModel: 'local/scripted', requires: [] },
      task_id: task.id,
      fork_of: null,
      run_id: id,
    });
    await addEntries(tx, { id, head: 0, root: task.id, task: task.id, project }, [said('begin')]);
  });
  return { id, task };
}

test('what an agent did comes behind what a person said while it was written down, and the agent is told [F3] [M1]', async () => {
  const { id, task } = await givenSession();
  const { db } = database;
  const first = await writeEntries(db, id, { task: task.id, root: task.id, known: 0 }, [said('one'), said('two')]);
  expect(await textsOf(first.head)).toEqual(['begin', 'one', 'two']);

  const [locked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const person = db.tx(async (tx) => {
    const session = await lockSession(tx, id);
    locked.resolve();
    await goOn.promise;
    await addEntries(tx, { id, head: session?.head ?? 0, root: task.id, task: task.id, project }, [said('stop that')]);
  });
  await locked.promise;
  const writing = writeEntries(db, id, { task: task.id, root: task.id, known: first.head }, [said('three')]);
  await expect
    .poll(
      async () => (await db.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rowCount,
      { timeout: 20_000 },
    )
    .toBeGreaterThan(0);
  goOn.resolve();
  await person;
  const second = await writing;
  expect(second.isOvertaken).toBe(true);
  expect(await textsOf(second.head)).toEqual(['begin', 'one', 'two', 'stop that', 'three']);
  expect((await lockSession(db, id))?.head).toBe(second.head);
  const { rows } = await db.query(`select body->>'entry' as entry from events where body->>'session' = $1 order by seq`, [id]);
  expect(rows).toHaveLength(5);
  expect(rows.at(-1)).toEqual({ entry: String(second.head) });
}, 60_000);

test('of a task that is not the session’s, or does not run, nothing is written [F3]', async () => {
  const { id, task } = await givenSession();
  const other = await givenSession();
  const { head } = (await lockSession(database.db, id)) ?? { head: 0 };
  const write = (of: typeof task): Promise<unknown> =>
    writeEntries(database.db, id, { task: of.id, root: of.id, known: head }, [said('late')]);
  await expect(write(other.task)).rejects.toThrow(NotDriven);
  await database.db.query(`update distributed_tasks set state = 'cancelled', finished_at = now() where id = $1`, [task.id]);
  await expect(write(task)).rejects.toThrow(NotDriven);
  expect((await lockSession(database.db, id))?.head).toBe(head);
});
