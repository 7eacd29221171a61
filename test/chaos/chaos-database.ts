import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Db, openDb } from '@helixcode/server/db/db';
import { type EmbeddedPostgres, startEmbeddedPostgres, stopEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { killNow } from '../support/processes.ts';

/** The one PostgreSQL that all servers of a world share; nobody but us starts it again. */
export interface ChaosDatabase {
  /** Stays the same through restarts. */
  url: string;
  /** For looking into the books; fails while PostgreSQL is down. */
  db: Db;
  /** How long it has been up; 0 while it is not. */
  upMs(): number;
  /** `kill -9` of the postmaster. */
  kill(): void;
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function givenChaosDatabase(worldFolder: string): Promise<ChaosDatabase> {
  const folder = path.join(worldFolder, 'postgres');
  mkdirSync(folder);
  let running: EmbeddedPostgres = await startEmbeddedPostgres(folder);
  const { url } = running;
  let upSinceMs: number | undefined = performance.now();
  const db = openDb(url, { maxConnections: 4 });
  const database: ChaosDatabase = {
    url,
    db,
    upMs: () => (upSinceMs === undefined ? 0 : performance.now() - upSinceMs),
    kill() {
      upSinceMs = undefined;
      killNow(running.pid);
    },
    async start() {
      running = await startEmbeddedPostgres(folder);
      if (running.url !== url) throw new Error(`PostgreSQL came back at another address than ${new URL(url).host}`);
      upSinceMs = performance.now();
    },
    async close() {
      await db.close().catch(() => {});
      await stopEmbeddedPostgres(folder);
    },
  };
  return database;
}
