import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { givenEmptyDatabase } from '../../packages/server/test/support/database.ts';
import { freePort } from '../../packages/server/test/support/sshd.ts';
import { givenHome, removeHome, type ServerProcess, startServer } from './server-process.ts';

export interface GivenFleet {
  databaseUrl: string;
  /** Starts a server on the database and waits until it answers; one that was started before, at its old address. */
  start(home: string): Promise<ServerProcess>;
  /** A data folder for one more server, with the key that all share. */
  addHome(): string;
  homes: readonly string[];
  /** Ends all that is left. */
  remove(): Promise<void>;
}

/** Servers that share one database, a storage folder and the key of its secrets. */
export async function givenFleet(env: Record<string, string> = {}): Promise<GivenFleet> {
  const database = await givenEmptyDatabase();
  const shared = givenHome();
  const storage = path.join(shared, 'storage');
  mkdirSync(storage);
  const homes: string[] = [];
  const ports = new Map<string, number>();
  const running = new Map<string, ServerProcess>();

  return {
    databaseUrl: database.url,
    homes,
    addHome() {
      const home = givenHome();
      const [first] = homes;
      if (first) copyFileSync(path.join(first, 'secret.key'), path.join(home, 'secret.key'));
      homes.push(home);
      return home;
    },
    async start(home) {
      const port = ports.get(home) ?? (await freePort());
      ports.set(home, port);
      const server = await startServer(home, {
        DATABASE_URL: database.url,
        HELIX_GLOBAL_STORAGE_FOLDER: storage,
        HELIX_PORT: String(port),
        ...env,
      });
      running.set(home, server);
      return server;
    },
    async remove() {
      for (const server of running.values()) {
        try {
          process.kill(server.pid, 'SIGCONT');
        } catch {
          // It is gone already.
        }
        await server.kill();
      }
      for (const home of homes) await removeHome(home);
      await database.drop();
      rmSync(shared, { recursive: true, force: true });
    },
  };
}
