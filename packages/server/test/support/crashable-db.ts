import { randomBytes } from 'node:crypto';
import { CodedError } from '@helixcode/protocol/errors';
import { type Db, openDb } from '@helixcode/server/db/db';

/** The database as a server sees it that may die at any statement, before a commit, or right after one. */
export interface CrashableDb {
  db: Db;
  readonly isDead: boolean;
  /** Resolves when it is. */
  readonly whenDead: Promise<void>;
  /** Lets it die by itself after so many more statements and commits. */
  dieAfter(steps: number): void;
  /** Ends it now, with its connections; resolves when nothing of it can be written any more. */
  die(): Promise<void>;
}

const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const gone = (): CodedError => new CodedError('database.unavailable', 'this server has crashed');

/** @param admin another connection to the same database, which outlives this one */
export function openCrashableDb(url: string, admin: Db): CrashableDb {
  const name = `crashable_${randomBytes(6).toString('hex')}`;
  const named = new URL(url);
  named.searchParams.set('application_name', name);
  const inner = openDb(named.href, { maxConnections: 6 });
  let isDead = false;
  const death = Promise.withResolvers<void>();
  const end = (): void => {
    isDead = true;
    death.resolve();
  };
  let stepsLeft = Number.POSITIVE_INFINITY;
  let underWay = 0;
  let isClosed = false;

  /** Whether the server has not lived to this point. */
  const isOver = (): boolean => {
    if (--stepsLeft < 0) end();
    return isDead;
  };
  const watched = async <T>(act: () => Promise<T>): Promise<T> => {
    if (isOver()) throw gone();
    underWay += 1;
    try {
      const result = await act();
      // What was written is written; a dead server does nothing with the answer.
      if (isDead) throw gone();
      return result;
    } finally {
      underWay -= 1;
    }
  };
  const wrap = (db: Db): Db => ({
    query: (text, params) => watched(() => db.query(text, params)),
    tx: (work) =>
      watched(() =>
        db.tx(async (tx) => {
          const result = await work(wrap(tx));
          if (isOver()) throw gone();
          return result;
        }),
      ),
    afterCommit: (act) =>
      db.afterCommit(() => {
        if (!isOver()) act();
      }),
    close: () => db.close(),
  });

  return {
    db: wrap(inner),
    get isDead() {
      return isDead;
    },
    dieAfter(steps) {
      stepsLeft = steps;
    },
    whenDead: death.promise,
    async die() {
      end();
      for (;;) {
        const { rowCount } = await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1`, [
          name,
        ]);
        if (rowCount === 0 && underWay === 0) break;
        await turnOfTheLoop();
      }
      // What the ended connections were told last is still to be read, while the pool listens.
      for (let turn = 0; turn < 3; turn++) await turnOfTheLoop();
      if (isClosed) return;
      isClosed = true;
      await inner.close();
    },
  };
}
