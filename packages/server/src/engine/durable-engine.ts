import { AsyncLocalStorage } from 'node:async_hooks';
import { DBOS } from '@dbos-inc/dbos-sdk';
import type { ServerId } from '@helixcode/protocol/ids';
import type { DatabaseSession } from '../db/database-session.ts';
import { openPool } from '../db/db.ts';

/**
 * What a driver says after looking at its subject: it is over, or it wants to look again. During `restMs` after a turn it
 * need not be woken: what happens meanwhile is looked at together, at the end of that time or when something urgent happens.
 */
export type Turn = { over: true } | { over: false; lookAgainMs: number; restMs?: number };

/**
 * Runs *drivers*: re-entrant functions that look at our tables and move one subject on. A driver survives a crash of
 * the server: after a restart it is called again, for our tables are the truth and it keeps nothing else.
 */
export interface DurableEngine {
  /** Starts the driver named `id`; starting it again while it lives, or after it is over, changes nothing. */
  start(id: string): Promise<void>;
  /** Makes the driver look now instead of at its own time, or after its rest. Several calls before it looks are one. */
  wake(id: string, options?: { isUrgent?: boolean }): void;
  /** Stops the driver between two turns; its subject stays as it is. */
  cancel(id: string): Promise<void>;
  /**
   * Takes over the drivers of servers that are not there any more.
   * @param listLiving those that are, asked after the drivers were listed
   */
  adopt(listLiving: () => Promise<ReadonlySet<ServerId>>): Promise<number>;
  /** Drivers end at their next turn and go on after the next start; returns when none is under way. */
  close(): Promise<void>;
}

/** What the engine remembers of drivers that are over. */
export interface DriverArchive {
  /** Drivers that were over before that time, oldest first, `offset` of them left out. */
  listOver(before: Date, limit: number, offset: number): Promise<{ id: string; at: Date }[]>;
  /** Forgets drivers that are over: one of them that is started again runs afresh. */
  forget(ids: string[]): Promise<void>;
}

/**
 * Bumped by hand when a driver's steps change in a way that a half-done one could not go on with: the library never
 * recovers a driver of another version.
 */
const DRIVER_VERSION = '1';
/** Connections of the library. */
const POOL_SIZE = 6;
/** A driver of another server is woken at most this often. */
const FAR_WAKE_PAUSE_MS = 50;
/** How long a driver may take to notice a wake-up that was lost with a crash. */
const LONGEST_WAIT_MS = 60_000;
const PAUSE_AFTER_FAILURE_MS = 1_000;
const WAKE = 'wake';

export interface DurableEngineOptions {
  databaseUrl: string;
  /** Stable over restarts and unique among servers: what a crashed server left is recovered under its id. */
  serverId: ServerId;
  /** What its connections belong to. */
  session?: DatabaseSession | undefined;
  /** One turn of the driver `id`. What it throws is logged, and the turn is tried again. */
  turn(id: string): Promise<Turn>;
  log: {
    debug(fact: object, sentence: string): void;
    warn(fact: object, sentence: string): void;
    error(fact: object, sentence: string): void;
  };
}

/** Opens the engine; its own tables live in the schema `dbos` of the same database. One engine a process. */
export async function openDurableEngine(options: DurableEngineOptions): Promise<DurableEngine & DriverArchive> {
  const { log } = options;
  const settings = { idle_in_transaction_session_timeout: LONGEST_WAIT_MS };
  const pool = openPool(options.databaseUrl, settings, { maxConnections: POOL_SIZE, session: options.session });
  DBOS.setConfig({
    name: 'helixcode',
    systemDatabaseUrl: options.databaseUrl,
    systemDatabasePool: pool,
    applicationVersion: DRIVER_VERSION,
    executorID: options.serverId,
    logger: {
      info: () => {},
      debug: () => {},
      warn: (message: unknown) => log.warn({ engine: String(message) }, 'the durable engine warns'),
      error: (message: unknown) => log.error({ engine: String(message) }, 'the durable engine reports an error'),
    },
  });

  // The library knows by the asynchronous context whether it is called from within a driver, and refuses there what a turn may well ask for: to start or wake others.
  const outside = AsyncLocalStorage.snapshot();

  async function takeTurn(id: string): Promise<Turn> {
    wakesUnderWay.delete(id);
    drivenHere.add(id);
    try {
      const turn = await options.turn(id);
      if (turn.over) drivenHere.delete(id);
      if (!turn.over && turn.restMs !== undefined) restsUntilMs.set(id, performance.now() + turn.restMs);
      else restsUntilMs.delete(id);
      return turn;
    } catch (cause) {
      log.error({ driver: id, err: cause }, 'a turn of a driver failed and will be tried again');
      return { over: false, lookAgainMs: PAUSE_AFTER_FAILURE_MS };
    }
  }

  /** Drivers whose turns are taken in this process. */
  const drivenHere = new Set<string>();
  // A wake-up under way to a driver that has not looked yet makes further ones needless.
  const wakesUnderWay = new Set<string>();
  const restsUntilMs = new Map<string, number>();
  const sleepers = new Map<string, NodeJS.Timeout>();

  function sendWake(id: string): void {
    outside(() => DBOS.send(id, true, WAKE)).catch((cause: unknown) => {
      wakesUnderWay.delete(id);
      // The driver is over, or the database is away: a living one looks by itself when its wait is over.
      log.debug({ driver: id, err: cause }, 'a wake-up did not reach its driver');
    });
  }

  /** Its turns are taken elsewhere, or not yet: nobody here sees when it looks. What comes during a pause is told at its end. */
  const farWakes = new Map<string, { isAsked: boolean }>();
  function wakeFar(id: string): void {
    const pause = farWakes.get(id);
    if (pause) {
      pause.isAsked = true;
      return;
    }
    farWakes.set(id, { isAsked: false });
    sendWake(id);
    setTimeout(() => {
      const isAsked = farWakes.get(id)?.isAsked;
      farWakes.delete(id);
      if (isAsked) wakeFar(id);
    }, FAR_WAKE_PAUSE_MS).unref();
  }

  const drive = DBOS.registerWorkflow(
    async (id: string): Promise<void> => {
      for (;;) {
        const turn = await DBOS.runStep(() => takeTurn(id), { name: 'turn' });
        if (turn.over) return;
        const waitMs = Math.min(turn.lookAgainMs, LONGEST_WAIT_MS);
        await DBOS.recv(WAKE, { timeoutSeconds: Math.max(waitMs, 20) / 1000, pollingIntervalMs: 5_000 });
      }
    },
    { name: 'drive', maxRecoveryAttempts: 1_000_000 },
  );
  await DBOS.launch();

  return {
    async start(id) {
      await outside(() => DBOS.startWorkflow(drive, { workflowID: id })(id));
    },
    wake(id, { isUrgent = false } = {}) {
      const sleeper = sleepers.get(id);
      if (!drivenHere.has(id)) return wakeFar(id);
      if (wakesUnderWay.has(id) && !(isUrgent && sleeper)) return;
      wakesUnderWay.add(id);
      clearTimeout(sleeper);
      const restMs = isUrgent ? 0 : (restsUntilMs.get(id) ?? 0) - performance.now();
      const send = (): void => {
        sleepers.delete(id);
        sendWake(id);
      };
      if (restMs <= 0) send();
      else sleepers.set(id, setTimeout(send, restMs));
    },
    async cancel(id) {
      await outside(() => DBOS.cancelWorkflow(id));
    },
    async adopt(listLiving) {
      const pending = await DBOS.listWorkflows({ status: 'PENDING', workflowName: 'drive', loadInput: false, loadOutput: false });
      const living = await listLiving();
      const ids = pending.filter(({ executorId }) => !living.has(executorId as ServerId)).map(({ workflowID }) => workflowID);
      if (ids.length > 0) await DBOS.resumeWorkflows(ids);
      return ids.length;
    },
    async listOver(before, limit, offset) {
      const found = await DBOS.listWorkflows({
        status: ['SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'],
        endTime: before.toISOString(),
        completedBefore: before.toISOString(),
        loadInput: false,
        loadOutput: false,
        limit,
        offset,
      });
      return found.map(({ workflowID, createdAt, updatedAt }) => ({ id: workflowID, at: new Date(updatedAt ?? createdAt) }));
    },
    async forget(ids) {
      // Their own tables refer to each other without foreign keys: only the library knows all of them.
      if (ids.length > 0) await DBOS.deleteWorkflows(ids);
    },
    async close() {
      for (const sleeper of sleepers.values()) clearTimeout(sleeper);
      await DBOS.shutdown({ workflowCompletionTimeoutMS: 300 });
      await pool.end();
    },
  };
}
