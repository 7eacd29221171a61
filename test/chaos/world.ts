import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { noSshd } from '../../packages/server/test/support/sshd.ts';
import { type AskServers, askServers } from './ask-servers.ts';
import { type ChaosDatabase, givenChaosDatabase } from './chaos-database.ts';
import { type ChaosServer, givenChaosServer } from './chaos-server.ts';
import { addDialInWorker, addLocalWorker, addSmallDiskWorker, addSshWorker, type ChaosWorker } from './chaos-workers.ts';
import { processesAround, signalAll } from './processes-in.ts';

const WORKERS_UP_WITHIN_MS = 90_000;

/** How long silence lasts until a part starts elsewhere, where its policy says nothing: short, so that it happens often. */
export const LOST_AFTER_MS = 4_000;
const HEARTBEAT_MS = 500;
const SERVERS = 2;

/** Servers on one database, workers of every kind, and the networks between them: all real, all on this machine. */
export interface World extends AskServers {
  folder: string;
  /** What the servers share as files: mirrors of repositories, archives. */
  storage: string;
  database: ChaosDatabase;
  servers: ChaosServer[];
  workers: ChaosWorker[];
  /** Ids of the workers whose link a server holds, as far as the books can be read. */
  workersOf(server: ChaosServer): Promise<string[]>;
  /** Lets its folder stay, to be looked at. */
  keep(): void;
  /** What is not in it, and why. */
  leftOut: string[];
}

/** @param cleanUp ends all that is begun here, also when it is interrupted halfway, and removes the folder unless it is kept */
export async function givenWorld(cleanUp: AsyncDisposableStack): Promise<World> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-chaos-'));
  // As root, the database runs under an account of its own, which must come through.
  chmodSync(folder, 0o711);
  let isKept = false;
  cleanUp.defer(() => {
    if (!isKept) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  });
  cleanUp.defer(() => endAll(folder));
  const database = await givenChaosDatabase(folder);
  cleanUp.defer(() => database.close());
  const storage = path.join(folder, 'storage');
  mkdirSync(storage);
  const env = {
    DATABASE_URL: database.url,
    HELIX_GLOBAL_STORAGE_FOLDER: storage,
    HELIX_WORKERS_LOCAL: 'false',
    HELIX_WORKERS_HEARTBEAT_MS: String(HEARTBEAT_MS),
    HELIX_WORKERS_LOST_AFTER_MS: String(LOST_AFTER_MS),
    HELIX_WORKERS_USER_SSH_CONFIG: 'false',
  };
  const servers: ChaosServer[] = [];
  for (let number = 1; number <= SERVERS; number++) {
    const server = await givenChaosServer(folder, `server-${number}`, env, servers[0]);
    cleanUp.defer(() => server.close());
    servers.push(server);
  }

  const world: World = {
    folder,
    storage,
    database,
    servers,
    workers: [],
    keep: () => void (isKept = true),
    leftOut: [],
    async workersOf({ home }) {
      const id = readFileSync(path.join(home, 'server-id'), 'utf8').trim();
      return database.db.query<{ id: string }>('select id from workers where server_id = $1 and removed_at is null', [id]).then(
        ({ rows }) => rows.map((row) => row.id),
        () => [],
      );
    },
    ...askServers(servers),
  };
  const add = async (adding: Promise<ChaosWorker>): Promise<void> => {
    const worker = await adding;
    cleanUp.defer(() => worker.close());
    world.workers.push(worker);
  };
  await add(addLocalWorker(world, 'near'));
  await add(addDialInWorker(world, 'dialin'));
  if (noSshd) world.leftOut.push('the ssh worker: sshd is not installed');
  else await add(addSshWorker(world, 'ssh'));
  if (userInfo().uid === 0) await add(addSmallDiskWorker(world, 'small'));
  else world.leftOut.push('the full disk: only root may mount a small one');
  await workersAreUp(world);
  return world;
}

export async function workersAreUp(world: World): Promise<void> {
  for (const deadlineMs = performance.now() + WORKERS_UP_WITHIN_MS; ; await sleep(100)) {
    const { items } = await world.ask((client, signal) => client.call('workers.list', { signal }));
    const away = items.filter((worker) => worker.state !== 'up');
    if (away.length === 0) return;
    if (performance.now() > deadlineMs)
      throw new Error(
        `not up: ${away.map(({ name, state, reason }) => `${name} is ${state} (${reason?.message ?? 'no reason'})`).join('; ')}`,
      );
  }
}

/** Whatever still lives by the files of the world. */
async function endAll(folder: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const left = processesAround(folder);
    if (left.length === 0) return;
    signalAll(
      left.map(({ pid }) => pid),
      'SIGKILL',
    );
    await sleep(50);
  }
}
