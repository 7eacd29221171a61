import { createHash } from 'node:crypto';
import pg from 'pg';
import { columnTypes } from './column-types.ts';
import { asUnavailable, isDeadlock, isStalePlan } from './connection-loss.ts';
import { connectionUrl } from './connection-url.ts';
import type { DatabaseSession } from './database-session.ts';

/** The database, or one transaction in it: a function that takes a `Db` works in both. */
export interface Db {
  /**
   * Runs one statement. Its text is prepared once per connection, so it must be constant: values go into `params`.
   *
   * `bigint` comes back as a number where that is exact (else as a `bigint`), `timestamptz` as a `Date`, `jsonb` as what it says.
   *
   * @throws CodedError `database.unavailable` when the connection was lost; outside a transaction, and for a commit, the
   *   statement may or may not have happened
   */
  query<Row>(text: string, params?: unknown[]): Promise<{ rows: Row[]; rowCount: number }>;
  /**
   * Runs `work` in a transaction; in one already, in a part of it that is undone alone when `work` fails. Where it and others
   * wait for each other, the database undoes one of them: that one is run again from its beginning.
   */
  tx<T>(work: (tx: Db) => Promise<T>): Promise<T>;
  /** Runs `act` once the transaction is committed, never if it is not; outside a transaction at once. */
  afterCommit(act: () => void): void;
  /** Waits for what is running, then closes the connections. On a transaction it has no meaning and throws. */
  close(): Promise<void>;
}

export interface DbOptions {
  /** Default 10. */
  maxConnections?: number;
  /** What its connections belong to; absent: nothing. */
  session?: DatabaseSession | undefined;
}

/** A deadlock is resolved for all but one of those in it: so many in a row are a fault. */
const TRIES_AFTER_DEADLOCKS = 5;

/** Connects when first used. Unqualified names mean our schema `helix`. */
export function openDb(url: string, options: DbOptions = {}): Db {
  const pool = openPool(connectionUrl(url), { types: columnTypes }, options);

  const withClient = async <T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    const client = await pool.connect().catch((error: unknown) => {
      throw asUnavailable(error);
    });
    // Between one statement and the next nobody else listens.
    const ignore = (): void => {};
    client.on('error', ignore);
    try {
      return await use(client);
    } finally {
      client.off('error', ignore);
      client.release(spentClients.has(client));
    }
  };

  return {
    async query<Row>(text: string, params?: unknown[]) {
      try {
        return await withClient((client) => run<Row>(client, text, params));
      } catch (error) {
        // Refused before it ran, and the connection with the old plan is gone: once more is safe.
        if (!(error instanceof Error) || !isStalePlan(error.cause)) throw error;
        return withClient((client) => run<Row>(client, text, params));
      }
    },

    async tx<T>(work: (tx: Db) => Promise<T>) {
      for (let attempt = 1; ; attempt++) {
        const acts: (() => void)[] = [];
        try {
          const result = await withClient((client) => inTransaction(client, acts, work));
          for (const act of acts) callAfterCommit(act);
          return result;
        } catch (error) {
          if (!isDeadlock(error) || attempt === TRIES_AFTER_DEADLOCKS) throw error;
        }
      }
    },

    afterCommit: (act) => act(),
    close: () => pool.end(),
  };
}

/** A pool of connections that belong to a session; for what is not a `Db`. */
export function openPool(url: string, settings: pg.PoolConfig, { maxConnections = 10, session }: DbOptions): pg.Pool {
  const pool = new pg.Pool({
    ...settings,
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    ...(session && {
      application_name: session.name,
      verify: (client, done) => {
        // Nobody else listens yet, and a connection that is lost meanwhile must not end the process.
        const ignore = (): void => {};
        client.on('error', ignore);
        session.admit(client).then(() => {
          client.off('error', ignore);
          done();
        }, done);
      },
    }),
  });
  // An idle connection that dies is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});
  // Nor may one that dies in the moment in which it is handed out, when the pool does not listen any more and its user not yet.
  pool.on('connect', (client) => void client.on('error', () => {}));
  return pool;
}

/** Connections that are lost, or hold a plan that is: they do not go back into the pool. */
const spentClients = new WeakSet<pg.PoolClient>();

const clients = new WeakMap<Db, pg.PoolClient>();

/** The connection a transaction runs on, for a library that writes into our transaction. Its statements must be awaited. */
export function clientOf(tx: Db): pg.PoolClient {
  const client = clients.get(tx);
  if (client === undefined) throw new Error('only a transaction has a connection of its own');
  return client;
}

async function inTransaction<T>(client: pg.PoolClient, acts: (() => void)[], work: (tx: Db) => Promise<T>): Promise<T> {
  await send(client, 'begin');
  const tx = transactionOn(client, acts, 1);
  try {
    const result = await work(tx);
    await send(client, 'commit');
    return result;
  } catch (error) {
    // A rollback that fails means the connection is gone, and the transaction with it.
    await send(client, 'rollback').catch(() => {});
    throw error;
  } finally {
    clients.delete(tx);
  }
}

function transactionOn(client: pg.PoolClient, acts: (() => void)[], depth: number): Db {
  // One connection does one statement at a time: those sent together wait for each other here.
  let last: Promise<unknown> = Promise.resolve();
  const next = <T>(act: () => Promise<T>): Promise<T> => {
    const turn = last.then(act, act);
    last = turn.catch(() => {});
    return turn;
  };

  const tx: Db = {
    query: <Row>(text: string, params?: unknown[]) => next(() => run<Row>(client, text, params)),
    tx: <T>(work: (tx: Db) => Promise<T>) =>
      next(async () => {
        const point = `part_${depth}`;
        const actsOfPart: (() => void)[] = [];
        await send(client, `savepoint ${point}`);
        const part = transactionOn(client, actsOfPart, depth + 1);
        try {
          const result = await work(part);
          await send(client, `release savepoint ${point}`);
          acts.push(...actsOfPart);
          return result;
        } catch (error) {
          await send(client, `rollback to savepoint ${point}`).catch(() => {});
          throw error;
        } finally {
          clients.delete(part);
        }
      }),
    afterCommit: (act) => void acts.push(act),
    close: () => Promise.reject(new Error('a transaction ends with its work')),
  };
  clients.set(tx, client);
  return tx;
}

async function run<Row>(client: pg.PoolClient, text: string, params: unknown[] = []): Promise<{ rows: Row[]; rowCount: number }> {
  const { rows, rowCount } = await send(client, { name: statementName(text), text, values: params });
  return { rows: rows as Row[], rowCount: rowCount ?? 0 };
}

/** The one place where statements are sent, so that only what the database says is taken for its state. */
async function send(client: pg.PoolClient, statement: pg.QueryConfig | string): Promise<pg.QueryResult> {
  try {
    return await client.query(statement);
  } catch (error) {
    const coded = asUnavailable(error);
    if (coded !== error) spentClients.add(client);
    throw coded;
  }
}

const statementNames = new Map<string, string>();

function statementName(text: string): string {
  let name = statementNames.get(text);
  if (name === undefined) {
    name = createHash('sha256').update(text).digest('base64url').slice(0, 16);
    statementNames.set(text, name);
  }
  return name;
}

/** What fails here is a bug, but not one that may make a committed transaction look failed: it rises by itself. */
function callAfterCommit(act: () => void): void {
  try {
    act();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
