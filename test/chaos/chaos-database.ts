import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Db, openDb } from '@helixcode/server/db/db';
import { type EmbeddedPostgres, startEmbeddedPostgres, stopEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { killNow } from '../support/processes.ts';
import { lastingPort } from './lasting-port.ts';

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
  const first = await startEmbeddedPostgres(folder);
  await first.stop();
  setLastPort(folder, await lastingPort());
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

/** It starts at the port of its last start. */
function setLastPort(folder: string, port: number): void {
  for (const name of globSync('*/data/postmaster.opts', { cwd: folder })) {
    const file = path.join(folder, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"-p" "\d+"/, `"-p" "${port}"`));
  }
}
