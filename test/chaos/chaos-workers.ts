import { execFileSync } from 'node:child_process';
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FaultProxy, givenFaultProxy } from '../../packages/server/test/support/fault-proxy.ts';
import { givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { type Joiner, startJoiner } from '../support/joined-worker.ts';
import { daemonOf, sshClientsOf } from '../support/processes.ts';
import type { AskServers } from './ask-servers.ts';
import type { ChaosServer } from './chaos-server.ts';
import { isAlive, processesAround, signalAll } from './processes-in.ts';

/** Where the jobs of the load may run: a worker with little disk gets only those that mend themselves. */
export const ROOMY = 'roomy';
export const TIGHT = 'tight';

/** Jobs at once of each worker. */
export const SLOTS = 2;
const SSHD_TRIES = 60;
/** More than the room without which a worker is given no jobs. */
const SMALL_DISK = '96m';

/** What a worker is added to. */
interface Surroundings extends Pick<AskServers, 'ask'> {
  /** Each worker has a folder in it. */
  folder: string;
  servers: readonly ChaosServer[];
}

/** A worker of a world and what can be done to it. What is absent cannot be done to this one. */
export interface ChaosWorker {
  name: string;
  /** Its id on the servers. */
  id: string;
  /** What it keeps lies here. */
  home: string;
  /** Where its jobs link the files with their exit statuses. */
  receipts: string;
  /** Pid of its daemon, while one runs. */
  daemon(): number | undefined;
  /** The network between it and the servers. */
  link?: FaultProxy;
  /** What holds the link: ssh clients, or the worker's own `join`. */
  linkHolders?: { name: string; pids(): number[]; restart(): void };
  /** Ends all that runs there at one moment, with nobody left to write anything down, and starts the machine anew. */
  reboot?: { down(): Promise<void>; up(): Promise<void> };
  /** Its disk, where it can be filled. */
  disk?: { fill(): void; clear(): void };
  /** Why programs of it ended although nobody ended them. */
  surprises: string[];
  /** Ends what is not a process of its home. */
  close(): Promise<void>;
}

/** A daemon on the machine of the servers. */
export async function addLocalWorker(
  around: Surroundings,
  name: string,
  more: { home?: string; labels?: string[] } = {},
): Promise<ChaosWorker> {
  const { home = path.join(around.folder, name, 'home'), labels = [ROOMY] } = more;
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const { id } = await around.ask((client) =>
    client.call('workers.add', { body: { name, transport: 'local', folder: home, slots: SLOTS, labels } }),
  );
  return { ...known(name, id, home), close: async () => {} };
}

/** The same on a filesystem of its own that is soon full; only root may mount one. */
export async function addSmallDiskWorker(around: Surroundings, name: string): Promise<ChaosWorker> {
  const folder = path.join(around.folder, name);
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK},mode=0711`, 'none', folder]);
  const filler = path.join(folder, 'filler');
  const worker = await addLocalWorker(around, name, { home: path.join(folder, 'home'), labels: [TIGHT] });
  return {
    ...worker,
    disk: { fill: () => fillDisk(filler), clear: () => rmSync(filler, { force: true }) },
    async close() {
      await killMachine(worker.home);
      execFileSync('umount', ['--lazy', folder]);
    },
  };
}

/** A machine behind a real sshd, whose connections pass a network that can be cut. Its boot id is the sshd's to say. */
export async function addSshWorker(around: Surroundings, name: string): Promise<ChaosWorker> {
  if (noSshd) throw new Error(noSshd);
  const home = path.join(around.folder, name, 'home');
  mkdirSync(path.dirname(home), { recursive: true });
  const bootFile = path.join(around.folder, name, 'boot.conf');
  let boots = 0;
  const boot = (): void => writeFileSync(bootFile, `SetEnv HELIX_BOOT_ID=${name}-${++boots}\n`);
  boot();
  const sshd = await givenSshd({ config: [`Include ${bootFile}`] });
  const link = await givenFaultProxy(sshd.port);
  const knownHostsFile = path.join(around.folder, name, 'known_hosts');
  writeFileSync(knownHostsFile, readFileSync(sshd.knownHostsFile, 'utf8').replace(`:${sshd.port}`, `:${link.port}`));
  const { host, user, identityFile } = sshd;
  const address = { host, user, identityFile, knownHostsFile, port: link.port, folder: home };
  const { id } = await around.ask((client) =>
    client.call('workers.add', { body: { name, transport: 'ssh', ...address, slots: SLOTS, labels: [ROOMY] } }),
  );
  return {
    ...known(name, id, home),
    link,
    linkHolders: {
      name: 'ssh client',
      pids: () => around.servers.flatMap((server) => sshClientsOf(server.home, id)),
      restart: () => {},
    },
    reboot: {
      async down() {
        await killMachine(home);
        await sshd.stop();
        boot();
      },
      async up() {
        // Its port may have gone to an outgoing connection, which ends.
        for (let tries = 1; ; tries++) {
          try {
            return await sshd.start();
          } catch (error) {
            if (tries === SSHD_TRIES) throw error;
            await sleep(1_000);
          }
        }
      },
    },
    close: () => closeSshd(sshd, link),
  };
}

/** A machine that dials in, through a network that can be cut, and finds whichever server answers. */
export async function addDialInWorker(around: Surroundings, name: string): Promise<ChaosWorker> {
  const home = path.join(around.folder, name, 'home');
  mkdirSync(path.dirname(home), { recursive: true });
  let turn = 0;
  // As a load balancer that knows nothing of the health of what is behind it.
  const link = await givenFaultProxy(() => Number(new URL(around.servers[turn++ % around.servers.length]?.url ?? '').port));
  const enrolled = await around.ask((client) => client.call('workers.enrol', { body: { name, slots: SLOTS, labels: [ROOMY] } }));
  let boots = 1;
  let isClosed = false;
  const join = (token?: string): Joiner =>
    startJoiner(`http://127.0.0.1:${link.port}`, { folder: home, token, env: { HELIX_BOOT_ID: `${name}-${boots}` } });
  const worker = known(name, enrolled.worker.id, home);
  const start = (token?: string): Joiner => {
    const joiner = join(token);
    void joiner.ended.then((status) => {
      appendFileSync(path.join(around.folder, `${name}.log`), `--- process ${joiner.pid}, status ${status}\n${joiner.said()}`);
      if (status !== null)
        worker.surprises.push(`its \`join\` ended by itself with status ${status}: ${joiner.said().trim().split('\n').at(-1)}`);
    });
    return joiner;
  };
  let joiner = start(enrolled.token);
  const restart = (): void => {
    if (!isClosed) joiner = start();
  };
  return {
    ...worker,
    link,
    linkHolders: { name: 'worker join', pids: () => (isAlive(joiner.pid) ? [joiner.pid] : []), restart },
    reboot: {
      async down() {
        await killMachine(home);
        boots++;
      },
      async up() {
        restart();
      },
    },
    async close() {
      isClosed = true;
      await joiner.kill();
      await link.close();
    },
  };
}

function known(name: string, id: string, home: string): Pick<ChaosWorker, 'name' | 'id' | 'home' | 'receipts' | 'daemon' | 'surprises'> {
  const receipts = path.join(path.dirname(home), 'receipts');
  mkdirSync(receipts, { recursive: true });
  return {
    name,
    id,
    home,
    receipts,
    surprises: [],
    daemon() {
      const pid = daemonOf(home, id);
      return pid !== undefined && isAlive(pid) ? pid : undefined;
    },
  };
}

/** All at once, as when the power goes: whoever is stopped first cannot record how another one ended. */
export async function killMachine(home: string): Promise<void> {
  const stopped = new Set<number>();
  for (;;) {
    const found = processesAround(home).filter(({ pid }) => !stopped.has(pid));
    if (found.length === 0) break;
    for (const { pid } of found) {
      signalAll([pid], 'SIGSTOP');
      stopped.add(pid);
    }
  }
  signalAll([...stopped], 'SIGKILL');
  while ([...stopped].some(isAlive)) await sleep(5);
}

async function closeSshd(sshd: TestSshd, link: FaultProxy): Promise<void> {
  await link.close();
  await sshd.remove();
}

function fillDisk(filler: string): void {
  const file = openSync(filler, 'w');
  try {
    for (let block = 1 << 20; block >= 4096; block >>= 1) {
      try {
        for (;;) writeSync(file, Buffer.alloc(block));
      } catch {
        // No room for a block of this size: smaller ones may still fit.
      }
    }
  } finally {
    closeSync(file);
  }
}
