import { once } from 'node:events';
import { createServer } from 'node:net';
import { clientOf, openDb } from '@helixcode/server/db/db';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await givenDatabase();
  await database.db.query(`create table note (id bigint generated always as identity primary key, text text not null unique)`);
});
afterAll(() => database.drop());

test('a row comes back with numbers, dates and objects, not their text', async () => {
  const { rows, rowCount } = await database.db.query(
    `select count(*) as count, 9007199254740993::bigint as huge, array[1, null]::bigint[] as list, '{}'::bigint[] as none,
            '2026-01-02T03:04:05Z'::timestamptz as at, $1::jsonb as fact`,
    [JSON.stringify({ a: [1] })],
  );
  expect(rowCount).toBe(1);
  expect(rows[0]).toEqual({
    count: 0 + 1,
    huge: 9007199254740993n,
    list: [1, null],
    none: [],
    at: new Date('2026-01-02T03:04:05Z'),
    fact: { a: [1] },
  });
});

test('names without a schema mean our schema', async () => {
  const { rows } = await database.db.query<{ schema: string }>(`select current_schema() as schema`);
  expect(rows).toEqual([{ schema: 'helix' }]);
});

test('a statement is prepared once per connection', async () => {
  const db = openDb(database.url, { maxConnections: 1 });
  const text = 'select $1::int as n';
  for (const n of [1, 2, 3]) await db.query(text, [n]);
  const { rows } = await db.query<{ prepared: number }>(`select count(*) as prepared from pg_prepared_statements where statement = $1`, [
    text,
  ]);
  expect(rows).toEqual([{ prepared: 1 }]);
  await db.close();
});

test('a refused statement keeps its connection', async () => {
  const db = openDb(database.url, { maxConnections: 1 });
  const pidOf = async (): Promise<unknown> => (await db.query('select pg_backend_pid() as pid')).rows;
  const before = await pidOf();
  await expect(db.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
  expect(await pidOf()).toEqual(before);
  await db.close();
});

test('a transaction that fails leaves nothing, and what waited for its commit does not happen', async () => {
  const acts: string[] = [];
  await expect(
    database.db.tx(async (tx) => {
      await tx.query(`insert into note (text) values ('lost')`);
      tx.afterCommit(() => acts.push('lost'));
      throw new Error('changed my mind');
    }),
  ).rejects.toThrow('changed my mind');

  await database.db.tx(async (tx) => {
    await tx.query(`insert into note (text) values ('kept')`);
    tx.afterCommit(() => acts.push('kept'));
    expect(acts).toEqual([]);
  });
  database.db.afterCommit(() => acts.push('at once'));

  expect(acts).toEqual(['kept', 'at once']);
  expect((await database.db.query(`select text from note where text in ('lost', 'kept')`)).rows).toEqual([{ text: 'kept' }]);
});

test('a part of a transaction that fails is undone alone', async () => {
  const acts: string[] = [];
  await database.db.tx(async (tx) => {
    await tx.query(`insert into note (text) values ('whole')`);
    await expect(
      tx.tx(async (part) => {
        part.afterCommit(() => acts.push('part'));
        await part.query(`insert into note (text) values ('part')`);
        await part.query(`insert into note (text) values ('part')`);
      }),
    ).rejects.toMatchObject({ code: '23505' });
    await tx.tx(async (part) => part.afterCommit(() => acts.push('other part')));
  });
  expect(acts).toEqual(['other part']);
  expect((await database.db.query(`select text from note where text in ('whole', 'part')`)).rows).toEqual([{ text: 'whole' }]);
});

test('of two transactions that wait for each other both happen, the one that was undone once more and only once', async () => {
  const { rows } = await database.db.query<{ id: number }>(`insert into note (text) values ('left'), ('right') returning id`);
  const [left = 0, right = 0] = rows.map(({ id }) => id);
  const bothHold = Promise.withResolvers<void>();
  let holding = 0;
  let acts = 0;
  const takeBoth = (first: number, second: number): Promise<void> =>
    database.db.tx(async (tx) => {
      tx.afterCommit(() => void (acts += 1));
      await tx.query(`update note set text = text || '+' where id = $1`, [first]);
      holding += 1;
      if (holding === 2) bothHold.resolve();
      await bothHold.promise;
      await tx.query(`update note set text = text || '+' where id = $1`, [second]);
    });
  await Promise.all([takeBoth(left, right), takeBoth(right, left)]);
  const after = await database.db.query<{ text: string }>(`select text from note where id = any($1) order by id`, [[left, right]]);
  expect(after.rows).toEqual([{ text: 'left++' }, { text: 'right++' }]);
  expect({ holding, acts }).toEqual({ holding: 3, acts: 2 });
});

test('statements sent together in a transaction run one after the other', async () => {
  const rows = await database.db.tx((tx) =>
    Promise.all([1, 2, 3].map(async (n) => (await tx.query<{ n: number }>('select $1::int as n', [n])).rows[0]?.n)),
  );
  expect(rows).toEqual([1, 2, 3]);
});

test('a library can write in our transaction through its connection', async () => {
  await database.db.tx(async (tx) => {
    await clientOf(tx).query(`insert into note (text) values ('by a library')`);
  });
  expect((await database.db.query(`select text from note where text = 'by a library'`)).rowCount).toBe(1);
  expect(() => clientOf(database.db)).toThrow('only a transaction');
});

test('a table that got a column under a running server can still be read', async () => {
  await database.db.query(`create table grows (a int)`);
  const read = async (): Promise<unknown> => (await database.db.query('select * from grows')).rows;
  await database.db.query(`insert into grows values (1)`);
  await read();
  await database.db.query(`alter table grows add column b int`);
  expect(await read()).toEqual([{ a: 1, b: null }]);
});

test('a connection cut in the middle is an error that says try again, and the next statement works', async () => {
  const db = openDb(database.url, { maxConnections: 1 });
  const pid = async (): Promise<number> => (await db.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;
  const victim = await pid();

  const asleep = expect(db.query('select pg_sleep(60)')).rejects.toMatchObject({ code: 'database.unavailable' });
  await database.db.query('select pg_terminate_backend($1)', [victim]);
  await asleep;
  expect(await pid()).not.toBe(victim);

  // The same between two statements of a transaction.
  await expect(
    db.tx(async (tx) => {
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      await database.db.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
      await tx.query('select 1');
    }),
  ).rejects.toMatchObject({ code: 'database.unavailable', next: expect.stringContaining('try again') });
  await db.close();
});

test('an idle connection that dies is not noticed', async () => {
  const db = openDb(database.url, { maxConnections: 1 });
  const { rows } = await db.query<{ pid: number }>('select pg_backend_pid() as pid');
  await database.db.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
  await new Promise(setImmediate);
  expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await db.close();
});

test('a database that is not there, and a password that is wrong, each say what to do', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');

  const gone = openDb(`postgresql://u:p@127.0.0.1:${typeof address === 'object' ? address?.port : 0}/d`);
  await expect(gone.query('select 1')).rejects.toMatchObject({
    code: 'database.unavailable',
    message: expect.stringContaining('ECONNREFUSED'),
  });
  const wrong = openDb(database.url.replace(/:[^:@]+@/, ':wrong@'));
  await expect(wrong.tx((tx) => tx.query('select 1'))).rejects.toMatchObject({
    code: 'database.unavailable',
    next: 'check DATABASE_URL',
  });
  await Promise.all([gone.close(), wrong.close()]);
});

test('an error of the work itself, even one of another connection, stays what it is', async () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:22'), { code: 'ECONNREFUSED' });
  await expect(database.db.tx(() => Promise.reject(refused))).rejects.toBe(refused);
});

test('a connection that is lost while it is let in is an error of the call, and not the end of the process', async () => {
  const db = openDb(database.url, {
    session: {
      name: 'cut off',
      async admit(client) {
        const ended = new Promise((resolve) => client.once('end', resolve));
        await client.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
        await ended;
        throw new Error('not let in');
      },
    },
  });
  await expect(db.query('select 1')).rejects.toThrow('not let in');
  await db.close();
});
