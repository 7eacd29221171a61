import { createHash, randomBytes } from 'node:crypto';
import { type Db, openDb } from '@helixcode/server/db/db';
import { startEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { migrate, migrationsFolder, readMigrations } from '@helixcode/server/db/migrate';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  url: string;
  db: Db;
  /** Closes `db` and removes the database, also while others are connected. */
  drop: () => Promise<void>;
}

/** A fresh database with all our tables, for one test file. Call `drop` in `afterAll`. */
export async function givenDatabase(): Promise<TestDatabase> {
  const adminUrl = await testPostgresUrl();
  const admin = await connect(adminUrl);
  const name = `helix_test_${randomBytes(6).toString('hex')}`;
  try {
    const template = await givenTemplate(admin, adminUrl);
    await admin.query(`create database ${name} template ${template}`);
  } finally {
    await admin.end();
  }
  const url = databaseUrl(adminUrl, name);
  const db = openDb(url);
  return {
    url,
    db,
    async drop() {
      await db.close();
      await dropDatabase(name);
    },
  };
}

/** A fresh database without our tables: for tests of migrations. */
export async function givenEmptyDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const adminUrl = await testPostgresUrl();
  const name = `helix_test_${randomBytes(6).toString('hex')}`;
  await asAdmin((admin) => admin.query(`create database ${name}`));
  return { url: databaseUrl(adminUrl, name), drop: () => dropDatabase(name) };
}

/** `HELIX_TEST_DATABASE_URL` (a role that may create databases), or the PostgreSQL of this run, started on first use. */
export async function testPostgresUrl(): Promise<string> {
  const given = process.env.HELIX_TEST_DATABASE_URL;
  if (given) return given;
  // What a test run writes is not meant to survive a power cut.
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
  return (await startEmbeddedPostgres(inject('postgresFolder'), { settings })).url;
}

/** Migrated once per run and copied from then on; named by its content, as a given PostgreSQL outlives the run. */
async function givenTemplate(admin: pg.Client, adminUrl: string): Promise<string> {
  const content = readMigrations(migrationsFolder)
    .map(({ sha256 }) => sha256)
    .join();
  const name = `helix_template_${createHash('sha256').update(content).digest('hex').slice(0, 12)}`;
  const isMade = async (): Promise<boolean> =>
    (await admin.query('select from pg_database where datname = $1 and datistemplate', [name])).rowCount === 1;
  if (await isMade()) return name;

  await admin.query(`select pg_advisory_lock(hashtextextended($1, 0))`, [name]);
  if (await isMade()) return name;
  await admin.query(`drop database if exists ${name}`);
  await admin.query(`create database ${name}`);
  await migrate(databaseUrl(adminUrl, name));
  await admin.query(`alter database ${name} is_template true`);
  return name;
}

async function dropDatabase(name: string): Promise<void> {
  await asAdmin((admin) => admin.query(`drop database if exists ${name} with (force)`));
}

async function asAdmin(act: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = await connect(await testPostgresUrl());
  try {
    await act(admin);
  } finally {
    await admin.end();
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}
