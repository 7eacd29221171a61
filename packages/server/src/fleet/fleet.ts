import { hostname } from 'node:os';
import type { ServerId } from '@helixcode/protocol/ids';
import { PROTOCOL_VERSION } from '@helixcode/protocol/worker/frames';
import type { Logger } from 'pino';
import { type DatabaseSession, leasedSession, sessionName, sessionNamesOf } from '../db/database-session.ts';
import { type Db, openDb } from '../db/db.ts';
import {
  acquireLease,
  beatLease,
  drainLease,
  endEarlierSessions,
  endExpiredLeases,
  endSessions,
  forgetLease,
  type LeaseRow,
  listLeases,
  releaseLease,
} from './lease-sql.ts';

/** A server that has not beaten for so long is taken over. */
const LEASE_MS = 3_000;
const BEAT_MS = 1_000;
/** Nobody waits for a server that has its database to itself: no need to write each second. */
const ALONE_LEASE_MS = 3_600_000;
const ALONE_BEAT_MS = 600_000;
/** How often it is looked after the others, while there are any. */
const LOOK_MS = 250;

export interface FleetOptions {
  databaseUrl: string;
  serverId: ServerId;
  version: string;
  /** Hash of the agent that this server gives to workers. */
  agentHash: string;
  log: Logger;
  /** Another server has taken over: this life is over, and nothing it still does is written. Called once. */
  onLost(): void;
  /** Whether other servers can reach the database at all. */
  isShared: boolean;
}

/** The servers that share the database, and this one's place among them. */
export interface Fleet {
  readonly serverId: ServerId;
  /** What the database sessions of this life of the server belong to. */
  readonly session: DatabaseSession;
  /** Servers whose lease stands, as of the last look; this one too. Oldest first. */
  servers(): readonly LeaseRow[];
  /** Whether there is no other server. */
  isAlone(): boolean;
  /** Whether this server looks after what one of them must: the oldest that is not about to end. */
  isFirst(): boolean;
  isDraining(): boolean;
  /** Who is there has changed: a server has come, is about to end, or was ended and what it held is free. */
  onChange(listener: () => void): void;
  /** From now on others are told this address. */
  announce(url: string): Promise<void>;
  /** Takes nothing new from now on. */
  drain(): Promise<void>;
  /** Gives everything to the others; the last thing that is done with the database. */
  release(): Promise<void>;
  /** Looks no more. */
  close(): Promise<void>;
}

/**
 * Takes this server's lease and keeps it. A lease that ran out is prolonged as long as nobody has taken it, so that a
 * database that was away for all does no harm.
 */
export async function joinFleet(options: FleetOptions): Promise<Fleet> {
  const { serverId, log } = options;
  const host = hostname();
  const [leaseMs, beatMs] = options.isShared ? [LEASE_MS, BEAT_MS] : [ALONE_LEASE_MS, ALONE_BEAT_MS];
  let url = '';
  // Before there is a lease there is no session to belong to.
  const entry = openDb(options.databaseUrl, { maxConnections: 1 });
  let epoch: number;
  let leases: LeaseRow[];
  try {
    const holder = { server: serverId, url, version: options.version, protocol: PROTOCOL_VERSION, agent: options.agentHash, host };
    epoch = await acquireLease(entry, holder, leaseMs);
    await endEarlierSessions(entry, sessionNamesOf(serverId), sessionName(serverId, epoch));
    leases = await listLeases(entry);
  } finally {
    await entry.close();
  }

  let isLost = false;
  let isClosed = false;
  let isDraining = false;
  const lose = (): void => {
    if (isLost || isClosed) return;
    isLost = true;
    log.error({ server: serverId, epoch }, 'another server has taken over from this one');
    options.onLost();
  };
  const session = leasedSession(serverId, epoch, lose);
  // Connections of its own: a server whose others are all busy still beats. What it writes says of which life it is.
  const db: Db = openDb(options.databaseUrl, { maxConnections: 2, session: { name: session.name, admit: async () => {} } });

  const listeners: (() => void)[] = [];
  let shape = shapeOf(leases);
  let beatenAtMs = performance.now();
  /** Since when the lease has not run out. */
  let steadySinceMs = beatenAtMs;

  async function beat(): Promise<void> {
    if (!(await beatLease(db, serverId, epoch, url, leaseMs))) return lose();
    const nowMs = performance.now();
    if (nowMs - beatenAtMs > LEASE_MS) steadySinceMs = nowMs;
    beatenAtMs = nowMs;
  }

  /** Who has just come back to the database itself does not judge those who may come back a moment later. */
  const mayJudge = (): boolean => performance.now() - steadySinceMs > LEASE_MS && performance.now() - beatenAtMs < LEASE_MS;

  async function look(): Promise<void> {
    leases = await listLeases(db);
    const others = leases.filter((lease) => lease.server_id !== serverId);
    const isOneLate = others.some((lease) => lease.is_expired && lease.state !== 'ended');
    if (isOneLate && mayJudge()) {
      await endExpiredLeases(db);
      leases = await listLeases(db);
    }
    const ended = leases.filter((lease) => lease.state === 'ended' && lease.server_id !== serverId);
    for (const lease of ended) await endServer(lease);
    if (ended.length > 0) leases = await listLeases(db);
    const now = shapeOf(leases);
    if (now === shape) return;
    shape = now;
    for (const listener of listeners) listener();
  }

  async function endServer({ server_id, epoch: its }: LeaseRow): Promise<void> {
    // Sessions end when they next look at their signals: mostly at once. What is slow is looked at again, after the next beat.
    const untilMs = performance.now() + LOOK_MS;
    while ((await endSessions(db, sessionName(server_id, its))) > 0) {
      if (performance.now() > untilMs) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (await forgetLease(db, server_id, its)) log.warn({ server: server_id }, 'a server is gone; what it held is taken over');
  }

  let nextBeatMs = 0;
  let turn = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  async function takeTurn(): Promise<void> {
    let pauseMs = beatMs;
    try {
      if (performance.now() >= nextBeatMs) {
        await beat();
        nextBeatMs = performance.now() + beatMs;
      }
      if (isLost) return;
      await look();
      if (leases.length > 1) pauseMs = LOOK_MS;
    } catch (error) {
      // Out of reach it can do nothing, and neither can what it would write.
      log.warn({ err: error }, 'the lease could not be prolonged and is tried again');
      pauseMs = LOOK_MS;
    }
    if (!isLost && !isClosed) timer = setTimeout(next, pauseMs);
  }
  function next(): void {
    turn = takeTurn();
  }
  next();

  const standing = (): LeaseRow[] =>
    leases.filter((lease) => lease.state !== 'ended' && (!lease.is_expired || lease.server_id === serverId));
  return {
    serverId,
    session,
    servers: standing,
    isAlone: () => leases.every((lease) => lease.server_id === serverId),
    isFirst: () => !isDraining && standing().find((lease) => lease.state === 'live')?.server_id === serverId,
    isDraining: () => isDraining,
    onChange: (listener) => void listeners.push(listener),
    async announce(address) {
      url = address;
      await beat();
      leases = await listLeases(db);
    },
    async drain() {
      isDraining = true;
      await drainLease(db, serverId, epoch);
    },
    async release() {
      isClosed = true;
      clearTimeout(timer);
      await turn;
      await releaseLease(db, serverId, epoch);
    },
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await turn;
      await db.close();
    },
  };
}

/** What `onChange` is about. */
function shapeOf(leases: LeaseRow[]): string {
  return leases.map(({ server_id, epoch, state }) => `${server_id} ${epoch} ${state}`).join();
}
