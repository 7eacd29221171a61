import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import pg from 'pg';
import { asUnavailable } from './connection-loss.ts';
import { connectionUrl, ourSchema } from './connection-url.ts';

export const migrationsFolder = path.join(import.meta.dirname, 'migrations');

export interface Migration {
  /** File name without `.sql`: `0001-foundation`. */
  name: string;
  sql: string;
  sha256: string;
}

/** Four digits that count up, a name, forward only. */
const migrationFile = /^(\d{4}-[a-z0-9-]+)\.sql$/;

/** Any number that nobody else uses for an advisory lock in a shared database. */
const migrationLock = 4_702_111_234_474_983;

/**
 * Brings the database to the state this code knows, one migration per transaction, one server at a time.
 *
 * @returns the names applied now, oldest first; empty when it was up to date
 * @throws CodedError `database.migration_refused` when an applied file was changed, when the database was migrated by a
 *   newer release, when a migration fails (the ones before it stay), or when the role may not make our schema;
 *   `database.unavailable` when it cannot be reached
 */
export async function migrate(url: string, options: { folder?: string } = {}): Promise<string[]> {
  const migrations = readMigrations(options.folder ?? migrationsFolder);
  const client = new pg.Client({ connectionString: connectionUrl(url), connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    // Held by the session: the end of the connection, in whichever way, gives it back.
    await client.query('select pg_advisory_lock($1)', [migrationLock]);
    await makeSchema(client);
    const open = openMigrations(migrations, await appliedMigrations(client));
    for (const migration of open) await apply(client, migration);
    return open.map(({ name }) => name);
  } catch (error) {
    throw asUnavailable(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** All migrations of the folder in their order. */
export function readMigrations(folder: string): Migration[] {
  const migrations = readdirSync(folder)
    .sort()
    .map((file) => {
      const name = migrationFile.exec(file)?.[1];
      if (name === undefined) throw new Error(`${path.join(folder, file)} is not named like 0001-what-it-does.sql`);
      const sql = readFileSync(path.join(folder, file), 'utf8');
      return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    });
  const numbers = migrations.map(({ name }) => name.slice(0, 4));
  const twice = numbers.find((number, index) => numbers.indexOf(number) !== index);
  if (twice !== undefined) throw new Error(`two migrations in ${folder} have the number ${twice}`);
  return migrations;
}

interface Applied {
  name: string;
  sha256: string;
}

async function makeSchema(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ schema: boolean; table: boolean; role: string; database: string }>(
    `select to_regnamespace($1) is not null as schema, to_regclass($1 || '.schema_migrations') is not null as table,
            current_user as role, current_database() as database`,
    [ourSchema],
  );
  const found = rows[0];
  if (found === undefined || (found.schema && found.table)) return;
  try {
    // PostgreSQL asks for the right to make it before it looks whether it exists.
    if (!found.schema) await client.query(`create schema ${ourSchema}`);
    await client.query(
      `create table schema_migrations (
         name        text primary key,
         sha256      text not null,
         applied_at  timestamptz not null default now()
       )`,
    );
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '42501') throw error;
    throw new CodedError(
      'database.migration_refused',
      `the role ${found.role} may not make the schema ${ourSchema} in the database ${found.database}: ${error.message}`,
      {
        next: `grant create on database ${pg.escapeIdentifier(found.database)} to ${pg.escapeIdentifier(found.role)}`,
        cause: error,
      },
    );
  }
}

async function appliedMigrations(client: pg.Client): Promise<Applied[]> {
  const { rows } = await client.query<Applied>('select name, sha256 from schema_migrations order by name');
  return rows;
}

function openMigrations(known: Migration[], applied: Applied[]): Migration[] {
  const byName = new Map(known.map((migration) => [migration.name, migration]));
  for (const { name, sha256 } of applied) {
    const file = byName.get(name);
    if (file === undefined) {
      throw new CodedError(
        'database.migration_refused',
        `the database was migrated by a newer release: it has ${name}, this one knows up to ${known.at(-1)?.name ?? 'none'}`,
        {
          next: 'start the newer release, or restore the backup made before it',
        },
      );
    }
    if (file.sha256 !== sha256) {
      throw new CodedError('database.migration_refused', `the migration ${name} was changed after this database had applied it`, {
        next: `restore the file ${name}.sql and put the change into a new migration`,
      });
    }
  }
  const done = new Set(applied.map(({ name }) => name));
  return known.filter(({ name }) => !done.has(name));
}

async function apply(client: pg.Client, { name, sql, sha256 }: Migration): Promise<void> {
  try {
    await client.query('begin');
    await client.query(sql);
    await client.query('insert into schema_migrations (name, sha256) values ($1, $2)', [name, sha256]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    if (!(error instanceof pg.DatabaseError) || asUnavailable(error) !== error) throw error;
    throw new CodedError('database.migration_refused', `the migration ${name} failed and left nothing behind: ${error.message}`, {
      next: 'mend what it names, then start again',
      cause: error,
    });
  }
}
