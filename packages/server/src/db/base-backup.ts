import { randomBytes } from 'node:crypto';
import { CodedError } from '@helixcode/protocol/errors';
import pg from 'pg';
import { connectionUrl } from './connection-url.ts';

/** How long a sweep that is under way is waited for. */
const LOCK_WITHIN_MS = 60_000;

/** Folders of a cluster whose content is of the running server only. */
const EMPTIED = new Set(['pg_dynshmem', 'pg_notify', 'pg_replslot', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans', 'pg_wal']);
const LOCK_NOT_AVAILABLE = '55P03';
const LEFT_OUT = /^(postmaster\.(pid|opts)(\.disowned)?|pg_internal\.init.*|pgsql_tmp.*|backup_label|tablespace_map|current_logfiles)$/;

/** What completes the copied files to a cluster that PostgreSQL can recover. */
export interface BaseBackupEnd {
  /** Content of the file `backup_label`. */
  label: string;
  /** Names of the first and the last segment of the log that recovery needs. */
  firstSegment: string;
  lastSegment: string;
}

/** While it is open, the files of a running cluster may be copied as they are, torn pages included. */
export interface BaseBackup {
  /** Names of the migrations applied, oldest first. */
  migrations: string[];
  /** The state that a restore recovers is that of this moment. To be called once all files are copied. */
  stop(): Promise<BaseBackupEnd>;
  /** Ends it, in whichever way. The segments of the log are kept until then. */
  close(): Promise<void>;
}

/** Whether a file or folder of the cluster, by its path below it, belongs into the copy; of some folders only they themselves do. */
export function isCopied(path: string): boolean {
  const [first = ''] = path.split('/');
  if (EMPTIED.has(first)) return path === first || path === 'pg_wal/archive_status' || path === 'pg_wal/summaries';
  return !LEFT_OUT.test(path.split('/').at(-1) ?? '');
}

/**
 * Begins a copy of a running PostgreSQL of which we are superuser.
 *
 * @param lock advisory lock to hold meanwhile
 * @throws CodedError `gc.busy` when somebody else holds it for long
 * @see PostgreSQL documentation, 25.3.4 (making a base backup using the low level API)
 */
export async function beginBaseBackup(url: string, lock: number): Promise<BaseBackup> {
  const client = new pg.Client({ connectionString: connectionUrl(url), keepAlive: true });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(`set lock_timeout = ${LOCK_WITHIN_MS}`);
    await client.query('select pg_advisory_lock($1)', [lock]).catch((error: unknown) => {
      if (!(error instanceof pg.DatabaseError) || error.code !== LOCK_NOT_AVAILABLE) throw error;
      throw new CodedError('gc.busy', 'a sweep or another backup is under way', { next: 'helix backup, in a while', cause: error });
    });
    await client.query('set lock_timeout = 0');
    const migrations = await client.query<{ name: string }>('select name from schema_migrations order by name');
    // Temporary: it goes with the connection, and with it the segments it holds back.
    await client.query('select pg_create_physical_replication_slot($1, true, true)', [`helix_backup_${randomBytes(6).toString('hex')}`]);
    await client.query(`select pg_backup_start('helix backup', true)`);
    return {
      migrations: migrations.rows.map((row) => row.name),
      async stop() {
        const stopped = await client.query<{ label: string; last: string }>(
          `select labelfile as label, pg_walfile_name(lsn) as last from pg_backup_stop(false)`,
        );
        const { label, last } = stopped.rows[0] ?? { label: '', last: '' };
        const first = /^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$/m.exec(label)?.[1];
        if (first === undefined) throw new Error(`the backup label names no segment: ${label}`);
        return { label, firstSegment: first, lastSegment: last };
      },
      close: () => client.end(),
    };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}
