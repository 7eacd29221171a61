import type { ServerId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

export interface LeaseRow {
  server_id: ServerId;
  epoch: number;
  state: 'live' | 'draining' | 'ended';
  url: string;
  version: string;
  protocol: number;
  agent: string;
  host: string;
  started_at: Date;
  is_expired: boolean;
}

export interface LeaseHolder extends Pick<LeaseRow, 'url' | 'version' | 'protocol' | 'agent' | 'host'> {
  server: ServerId;
}

/** Begins a life of a server: an earlier one of the same server is fenced off. @returns its epoch */
export async function acquireLease(db: Db, holder: LeaseHolder, leaseMs: number): Promise<number> {
  const { rows } = await db.query<{ epoch: number }>(
    `insert into server_leases (server_id, url, version, protocol, agent, host, expires_at)
     values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7 / 1000.0))
     on conflict (server_id) do update
       set epoch = excluded.epoch, state = 'live', url = excluded.url, version = excluded.version, protocol = excluded.protocol,
           agent = excluded.agent, host = excluded.host, started_at = now(), expires_at = excluded.expires_at
     returning epoch`,
    [holder.server, holder.url, holder.version, holder.protocol, holder.agent, holder.host, leaseMs],
  );
  if (!rows[0]) throw new Error(`the lease of ${holder.server} was not written`);
  return rows[0].epoch;
}

/** Prolongs a lease, also one that has run out and that nobody has taken. @returns whether it is still held */
export async function beatLease(db: Db, server: ServerId, epoch: number, url: string, leaseMs: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `update server_leases set expires_at = now() + make_interval(secs => $4 / 1000.0), url = $3
      where server_id = $1 and epoch = $2 and state <> 'ended'`,
    [server, epoch, url, leaseMs],
  );
  return rowCount === 1;
}

/** From now on the server takes nothing new. */
export async function drainLease(db: Db, server: ServerId, epoch: number): Promise<void> {
  await db.query(`update server_leases set state = 'draining' where server_id = $1 and epoch = $2 and state = 'live'`, [server, epoch]);
}

/** Ends one's own lease: whoever looks next takes over. */
export async function releaseLease(db: Db, server: ServerId, epoch: number): Promise<void> {
  await db.query(`update server_leases set state = 'ended', expires_at = now() where server_id = $1 and epoch = $2`, [server, epoch]);
}

export async function listLeases(db: Db): Promise<LeaseRow[]> {
  const { rows } = await db.query<LeaseRow>(
    `select server_id, epoch, state, url, version, protocol, agent, host, started_at, expires_at <= now() as is_expired
       from server_leases order by started_at, server_id`,
  );
  return rows;
}

/** Ends leases that have run out: no new session of their holders is let in from here on. */
export async function endExpiredLeases(db: Db): Promise<void> {
  await db.query(`update server_leases set state = 'ended' where expires_at <= now() and state <> 'ended'`);
}

/** Ends the database sessions of one life of a server. @returns how many were still there */
export async function endSessions(db: Db, sessionName: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(pg_terminate_backend(pid))::int as count from pg_stat_activity
      where application_name = $1 and datname = current_database() and pid <> pg_backend_pid()`,
    [sessionName],
  );
  return rows[0]?.count ?? 0;
}

/** The same of all lives of a server but one. */
export async function endEarlierSessions(db: Db, namesBegin: string, keptName: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(pg_terminate_backend(pid))::int as count from pg_stat_activity
      where starts_with(application_name, $1) and application_name <> $2 and datname = current_database() and pid <> pg_backend_pid()`,
    [namesBegin, keptName],
  );
  return rows[0]?.count ?? 0;
}

/** Forgets a lease whose sessions are ended: what it held is free. @returns whether this caller was the one who did it */
export async function forgetLease(db: Db, server: ServerId, epoch: number): Promise<boolean> {
  const { rowCount } = await db.query(`delete from server_leases where server_id = $1 and epoch = $2 and state = 'ended'`, [server, epoch]);
  return rowCount === 1;
}
