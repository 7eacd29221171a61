import { lchownSync, readdirSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { connectionUrl } from '../db/connection-url.ts';
import { databaseAccount } from '../db/database-account.ts';
import { startEmbeddedPostgres } from '../db/embedded-postgres.ts';
import { postgresMajor } from '../db/postgres-binaries.ts';

/**
 * Starts the unpacked database of a backup, which makes PostgreSQL recover it, asks it, and stops it.
 *
 * @param folder the unpacked `postgres`, whose parents an unprivileged account may pass through
 */
export async function withRestoredDatabase<T>(folder: string, ask: (client: pg.Client) => Promise<T>): Promise<T> {
  const account = await databaseAccount(path.join(folder, 'none'));
  if (account) chownAll(path.join(folder, String(postgresMajor)), account.uid, account.gid);
  const postgres = await startEmbeddedPostgres(folder);
  try {
    const client = new pg.Client({ connectionString: connectionUrl(postgres.url) });
    client.on('error', () => {});
    await client.connect();
    try {
      return await ask(client);
    } finally {
      await client.end();
    }
  } finally {
    await postgres.stop();
  }
}

/** Reads every row once, checksums of the pages included. @returns the number of task trees */
export async function readAllRows(client: pg.Client): Promise<number> {
  const { rows: tables } = await client.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('helix', 'dbos')`,
  );
  for (const { name } of tables) await client.query(`select count(t.*) from ${name} t`);
  const { rows } = await client.query<{ trees: number }>(`select count(*)::int as trees from distributed_tasks where parent_id is null`);
  return rows[0]?.trees ?? 0;
}

/**
 * Makes the links of this server newer than any that the server it was copied from has made since: a worker refuses a link
 * with a lower number than it has seen. The clock is ahead of both, and of an earlier restore of the same backup.
 */
export async function raiseEpochs(client: pg.Client): Promise<void> {
  await client.query(`update workers set epoch = greatest(epoch + 1000000, (extract(epoch from clock_timestamp()) * 1000)::bigint)`);
}

function chownAll(file: string, uid: number, gid: number): void {
  lchownSync(file, uid, gid);
  for (const entry of readdirSync(file, { withFileTypes: true })) {
    if (entry.isDirectory()) chownAll(path.join(file, entry.name), uid, gid);
    else lchownSync(path.join(file, entry.name), uid, gid);
  }
}
