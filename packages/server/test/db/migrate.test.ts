import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { migrate } from '@helixcode/server/db/migrate';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenDatabase, givenEmptyDatabase } from '../support/database.ts';

let folder: string;
let database: Awaited<ReturnType<typeof givenEmptyDatabase>>;

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'helixcode-migrations-'));
  write('0001-first', `create table first (n int); insert into first values (1);`);
  database = await givenEmptyDatabase();
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await database.drop();
});

test('each migration is applied once, in our schema, in the order of its number', async () => {
  expect(await migrate(database.url, { folder })).toEqual(['0001-first']);
  write('0003-third', `insert into second select n from first`);
  write('0002-second', `create table second (n int)`);
  expect(await migrate(database.url, { folder })).toEqual(['0002-second', '0003-third']);
  expect(await migrate(database.url, { folder })).toEqual([]);
  expect(await query('select n from helix.second')).toEqual([{ n: 1 }]);
  expect(await query('select name, length(sha256) as length from helix.schema_migrations order by name')).toEqual([
    { name: '0001-first', length: 64 },
    { name: '0002-second', length: 64 },
    { name: '0003-third', length: 64 },
  ]);
});

test('servers that start together apply each migration once', async () => {
  const applied = await Promise.all(Array.from({ length: 5 }, () => migrate(database.url, { folder })));
  expect(applied.flat()).toEqual(['0001-first']);
  expect(await query('select n from helix.first')).toEqual([{ n: 1 }]);
});

test('a migration that fails leaves nothing behind, and the ones before it stay', async () => {
  write('0002-second', `create table second (n int); insert into second values ('x');`);
  await expect(migrate(database.url, { folder })).rejects.toMatchObject({
    code: 'database.migration_refused',
    message: expect.stringMatching(/0002-second failed .*invalid input syntax for type integer/),
  });
  expect(await query(`select to_regclass('helix.first') is not null as first, to_regclass('helix.second') is not null as second`)).toEqual([
    { first: true, second: false },
  ]);
});

test('a migration that was changed after it was applied is refused', async () => {
  await migrate(database.url, { folder });
  write('0001-first', `create table first (n bigint)`);
  await expect(migrate(database.url, { folder })).rejects.toMatchObject({
    code: 'database.migration_refused',
    message: expect.stringContaining('0001-first was changed'),
  });
});

test('a database that a newer release migrated is refused', async () => {
  write('0002-second', `create table second (n int)`);
  await migrate(database.url, { folder });
  rmSync(path.join(folder, '0002-second.sql'));
  await expect(migrate(database.url, { folder })).rejects.toMatchObject({
    code: 'database.migration_refused',
    message: expect.stringMatching(/newer release: it has 0002-second, this one knows up to 0001-first/),
  });
});

test('a role that may not make our schema is told the grant it needs, and works with it', async () => {
  const role = `limited_${new URL(database.url).pathname.slice(1)}`;
  await query(`create role ${role} login password 'x'`);
  const url = new URL(database.url);
  [url.username, url.password] = [role, 'x'];
  const refused = await migrate(url.href, { folder }).catch((error: unknown) => error);
  expect(refused).toMatchObject({
    code: 'database.migration_refused',
    next: expect.stringMatching(/^grant create on database/),
  });

  await query((refused as { next: string }).next);
  expect(await migrate(url.href, { folder })).toEqual(['0001-first']);
  expect(await migrate(url.href, { folder })).toEqual([]);
  await query(`drop owned by ${role}; drop role ${role}`);
});

test('the migrations of this release apply to an empty database', async () => {
  expect((await migrate(database.url)).length).toBeGreaterThan(0);
});

test('a test database comes migrated, and is gone when dropped', async () => {
  const { url, db, drop } = await givenDatabase();
  expect((await db.query('select from schema_migrations')).rowCount).toBeGreaterThan(0);
  await drop();
  await expect(migrate(url)).rejects.toMatchObject({
    code: 'database.unavailable',
    message: expect.stringContaining('does not exist'),
  });
});

function write(name: string, sql: string): void {
  writeFileSync(path.join(folder, `${name}.sql`), sql);
}

async function query(text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
