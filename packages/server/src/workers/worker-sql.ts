import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { ServerId, WorkerId } from '@helixcode/protocol/ids';
import type { MachineFacts, WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import {
  WORKER_MOVES,
  type WorkerAdmission,
  type WorkerCommand,
  type WorkerState,
  workerStatesBefore,
} from '@helixcode/protocol/worker/worker-state';
import type { Db } from '../db/db.ts';
import type { HostKeyRow, WorkerAddress, WorkerRow } from './worker-row.ts';

export interface NewWorker {
  id: WorkerId;
  name: string;
  transport: WorkerRow['transport'];
  address: WorkerAddress;
  slots: number | undefined;
  labels: string[];
}

/** Who adds a worker, and so holds it. */
export interface WorkerPlace {
  server: ServerId;
  /** Of a local worker: the machine, and the folder there that its things lie in. */
  host: string;
  home: string;
}

/** @throws CodedError `worker.exists` when a worker that is not removed has the name */
export async function insertWorker(db: Db, worker: NewWorker, place: WorkerPlace): Promise<WorkerRow> {
  const isLocal = worker.transport === 'local';
  const { rows } = await db.query<WorkerRow>(
    `insert into workers (id, name, transport, address, slots, labels, server_id, home_server, host, home)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     on conflict (name) where removed_at is null do nothing returning *`,
    [
      worker.id,
      worker.name,
      worker.transport,
      JSON.stringify(worker.address),
      worker.slots ?? null,
      worker.labels,
      place.server,
      isLocal ? place.server : null,
      isLocal ? place.host : null,
      isLocal ? place.home : null,
    ],
  );
  if (!rows[0])
    throw new CodedError('worker.exists', `there is already a worker named ${worker.name}`, {
      next: `helix workers show ${worker.name}`,
    });
  return rows[0];
}

/** Takes over what the configuration says now about a worker that exists. */
export async function configureWorker(db: Db, id: WorkerId, as: Omit<NewWorker, 'id' | 'name'>): Promise<WorkerRow | undefined> {
  const { rows } = await db.query<WorkerRow>(
    `update workers set transport = $2, address = $3, slots = $4, labels = $5 where id = $1 and removed_at is null returning *`,
    [id, as.transport, JSON.stringify(as.address), as.slots ?? null, as.labels],
  );
  return rows[0];
}

export async function listWorkers(db: Db): Promise<WorkerRow[]> {
  const { rows } = await db.query<WorkerRow>(`select * from workers where removed_at is null order by created_at, id`);
  return rows;
}

/** A worker with what its holder has written of it last. */
export interface WorkerStanding extends WorkerRow {
  /** Time without a link; null while there is one. */
  silent_ms: number | null;
  load: WorkerLoad | null;
  seen_at: Date | null;
  warm_projects: string[] | null;
  /** Whether the server that holds its link is there. */
  is_held: boolean;
}

export async function listStandings(db: Db): Promise<WorkerStanding[]> {
  const { rows } = await db.query<WorkerStanding>(
    `select w.*, extract(epoch from now() - w.link_lost_at)::float8 * 1000 as silent_ms, m.load, m.seen_at, m.warm_projects,
            exists (select from server_leases l where l.server_id = w.server_id) as is_held
       from workers w left join worker_metrics m on m.worker_id = w.id
      where w.removed_at is null order by w.created_at, w.id`,
  );
  return rows;
}

/** How many workers each server holds. */
export async function countHeldWorkers(db: Db): Promise<Map<string, number>> {
  const { rows } = await db.query<{ server_id: string; count: number }>(
    `select server_id, count(*)::int as count from workers where removed_at is null and server_id is not null group by 1`,
  );
  return new Map(rows.map((row) => [row.server_id, row.count]));
}

/** Lets go of all workers of a server: whoever looks next may take them. */
export async function freeWorkers(db: Db, server: ServerId): Promise<void> {
  await db.query(`update workers set server_id = null where server_id = $1 and removed_at is null`, [server]);
}

/** Takes workers whose server is gone. @returns those that nobody else was quicker with */
export async function claimWorkers(db: Db, ids: WorkerId[], server: ServerId): Promise<WorkerId[]> {
  const { rows } = await db.query<{ id: WorkerId }>(
    `update workers w set server_id = $2
      where w.id = any($1) and w.removed_at is null
        and (w.server_id is null or not exists (select from server_leases l where l.server_id = w.server_id))
      returning w.id`,
    [ids, server],
  );
  return rows.map(({ id }) => id);
}

/** Takes a worker that has come to this server by itself, whoever held it before. @returns whether it was held by another one */
export async function claimDialIn(db: Db, id: WorkerId, server: ServerId): Promise<boolean> {
  const { rowCount } = await db.query(
    `update workers set server_id = $2 where id = $1 and removed_at is null and transport = 'dial-in' and server_id is distinct from $2`,
    [id, server],
  );
  return rowCount === 1;
}

/** Says where the local workers of a server live; those of a release that did not know of several servers are its own. */
export async function settleLocalWorkers(db: Db, { server, host }: Omit<WorkerPlace, 'home'>, folder: string): Promise<void> {
  await db.query(
    `update workers set home_server = $1, host = $2, home = coalesce(address->>'folder', $3 || '/' || name)
      where transport = 'local' and removed_at is null and (home_server is null or home_server = $1)`,
    [server, host, folder],
  );
}

/** Names of all workers that ever were: an attempt outlives its worker. */
export async function listWorkerNames(db: Db): Promise<{ id: WorkerId; name: string }[]> {
  const { rows } = await db.query<{ id: WorkerId; name: string }>(`select id, name from workers`);
  return rows;
}

/** Begins a new link: whoever holds an older one is fenced off. Only the server that holds the worker may. @returns the link's epoch */
export async function beginEpoch(db: Db, id: WorkerId, server: ServerId): Promise<number> {
  const { rows } = await db.query<{ epoch: number }>(
    `update workers set epoch = epoch + 1 where id = $1 and server_id = $2 and removed_at is null returning epoch`,
    [id, server],
  );
  if (!rows[0]) throw new CodedError('worker.not_found', `worker ${id} was removed, or is held by another server`);
  return rows[0].epoch;
}

/**
 * Moves a worker as the state table says.
 *
 * @param server who moves it; only the one that holds it may
 * @returns nothing where the table has no such move from its present state
 */
export async function updateState(
  db: Db,
  id: WorkerId,
  server: ServerId,
  command: WorkerCommand,
  reason: ErrorFact | undefined,
): Promise<{ from: WorkerState; to: WorkerState } | undefined> {
  const before = workerStatesBefore(command);
  const { rows } = await db.query<{ from: WorkerState; to: WorkerState }>(
    `update workers w
        set state = m.to_state, reason = $4, removed_at = case when m.to_state = 'removed' then now() end,
            link_lost_at = case when m.to_state not in ('up', 'degraded') then coalesce(w.link_lost_at, now()) end
       from unnest($2::text[], $3::text[]) as m(from_state, to_state),
            (select id, state from workers where id = $1 and server_id = $5 and removed_at is null for update) old
      where w.id = old.id and m.from_state = old.state
      returning old.state as "from", w.state as "to"`,
    [id, before, before.map((state) => WORKER_MOVES[state][command]), reason ? JSON.stringify(reason) : null, server],
  );
  return rows[0];
}

export async function insertConnectivityEvent(
  db: Db,
  id: WorkerId,
  move: { command: WorkerCommand; from: WorkerState; to: WorkerState; reason: ErrorFact | undefined },
): Promise<void> {
  await db.query(`insert into worker_connectivity_events (worker_id, command, from_state, to_state, reason) values ($1, $2, $3, $4, $5)`, [
    id,
    move.command,
    move.from,
    move.to,
    move.reason ? JSON.stringify(move.reason) : null,
  ]);
}

export interface ConnectivityEventRow {
  command: string;
  from_state: WorkerState;
  to_state: WorkerState;
  reason: ErrorFact | null;
  at: Date;
}

export async function listConnectivityEvents(db: Db, id: WorkerId, limit: number): Promise<ConnectivityEventRow[]> {
  const { rows } = await db.query<ConnectivityEventRow>(
    `select command, from_state, to_state, reason, at from worker_connectivity_events where worker_id = $1 order by id desc limit $2`,
    [id, limit],
  );
  return rows;
}

/** Keeps the newest cause of a worker's absence, where its state stays as it is. */
export async function setReason(db: Db, id: WorkerId, reason: ErrorFact): Promise<void> {
  await db.query(`update workers set reason = $2 where id = $1 and state not in ('up', 'blocked', 'removed')`, [
    id,
    JSON.stringify(reason),
  ]);
}

export async function setFacts(db: Db, id: WorkerId, facts: MachineFacts, agent: string): Promise<void> {
  await db.query(`update workers set facts = $2, agent = $3 where id = $1`, [id, JSON.stringify(facts), agent]);
}

export async function setAdmission(db: Db, id: WorkerId, admission: WorkerAdmission): Promise<boolean> {
  const { rowCount } = await db.query(`update workers set admission = $2 where id = $1 and admission <> $2 and removed_at is null`, [
    id,
    admission,
  ]);
  return rowCount === 1;
}

/** Capabilities its operator vouches for, from now on. */
export async function setLabels(db: Db, id: WorkerId, labels: readonly string[]): Promise<void> {
  await db.query(`update workers set labels = $2 where id = $1`, [id, labels]);
}

export async function setAddress(db: Db, id: WorkerId, address: WorkerAddress): Promise<void> {
  await db.query(`update workers set address = $2 where id = $1`, [id, JSON.stringify(address)]);
}

/** Overwrites the newest numbers of many workers at once. */
export async function upsertMetrics(
  db: Db,
  beats: { worker: WorkerId; load: WorkerLoad; warmProjects: readonly string[] }[],
): Promise<void> {
  await db.query(
    `insert into worker_metrics (worker_id, load, warm_projects)
     select b.worker_id, b.load::jsonb, array(select jsonb_array_elements_text(b.warm_projects::jsonb))
       from unnest($1::text[], $2::text[], $3::text[]) as b(worker_id, load, warm_projects)
      where exists (select 1 from workers w where w.id = b.worker_id)
     on conflict (worker_id) do update set load = excluded.load, warm_projects = excluded.warm_projects, seen_at = now()`,
    [
      beats.map((beat) => beat.worker),
      beats.map((beat) => JSON.stringify(beat.load)),
      beats.map((beat) => JSON.stringify(beat.warmProjects)),
    ],
  );
}

export async function listHostKeys(db: Db): Promise<HostKeyRow[]> {
  const { rows } = await db.query<HostKeyRow>(`select * from worker_host_keys order by seen_at, fingerprint`);
  return rows;
}

/** Notes a key that the machine showed; that alone makes it no more trusted than before. */
export async function noteHostKey(db: Db, id: WorkerId, key: { type: string; publicKey: string; fingerprint: string }): Promise<void> {
  await db.query(
    `insert into worker_host_keys (worker_id, key_type, public_key, fingerprint) values ($1, $2, $3, $4)
     on conflict (worker_id, fingerprint) do update set seen_at = now()`,
    [id, key.type, key.publicKey, key.fingerprint],
  );
}

/** Pins a key the machine showed, in place of one of the same type. @returns whether there is such a key, not revoked */
export async function acceptHostKey(db: Db, id: WorkerId, fingerprint: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update worker_host_keys k
        set accepted_at = case when k.fingerprint = $2 then now() end
       from worker_host_keys chosen
      where chosen.worker_id = $1 and chosen.fingerprint = $2 and chosen.revoked_at is null
        and k.worker_id = $1 and k.key_type = chosen.key_type`,
    [id, fingerprint],
  );
  return rowCount > 0;
}

export async function revokeHostKey(db: Db, id: WorkerId, fingerprint: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update worker_host_keys set revoked_at = coalesce(revoked_at, now()), accepted_at = null where worker_id = $1 and fingerprint = $2`,
    [id, fingerprint],
  );
  return rowCount === 1;
}

export async function putSecret(db: Db, name: string, sealed: Uint8Array): Promise<void> {
  await db.query(
    `insert into secrets (name, sealed) values ($1, $2) on conflict (name) do update set sealed = excluded.sealed, created_at = now()`,
    [name, sealed],
  );
}

export async function readSecret(db: Db, name: string): Promise<Buffer | undefined> {
  const { rows } = await db.query<{ sealed: Buffer }>(`select sealed from secrets where name = $1`, [name]);
  return rows[0]?.sealed;
}

export async function deleteSecret(db: Db, name: string): Promise<void> {
  await db.query(`delete from secrets where name = $1`, [name]);
}
