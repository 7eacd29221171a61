import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type AttemptId, newId } from '@helixcode/protocol/ids';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { buildAgentBundle } from '@helixcode/server/workers/bootstrap/agent-bundle';
import { createLocalTransport } from '@helixcode/server/workers/transports/local-transport';
import { createSshTransport } from '@helixcode/server/workers/transports/ssh-transport';
import type { NewWorkerRequest } from '@helixcode/server/workers/worker-registry';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import { givenDatabase, type TestDatabase } from './database.ts';
import { givenMemoryBook, type MemoryBook } from './memory-book.ts';
import type { TestSshd } from './sshd.ts';
import { givenRegistry, type TestRegistry, type TestRegistryOptions } from './worker-registry.ts';

/** Packed once, not for every run. */
const PARTS_FOLDER = resolve(import.meta.dirname, '..', '..', '..', '..', 'node_modules', '.cache', 'helix-test-parts');

/** What tests with real workers share: a database, the agent, packed parts, and a registry that is begun anew at will. */
export interface WorkerTest {
  database: TestDatabase;
  folder: string;
  book: MemoryBook;
  registry: TestRegistry;
  /** Ends the present registry, as a server that stops does, and begins another on the same database. */
  restart(options?: Partial<TestRegistryOptions>): Promise<TestRegistry>;
  /** Hands a job to a worker as placement does. */
  run(worker: WorkerSupervisor, command: string): AttemptId;
  /** Removes all workers; for after each test. */
  clean(): Promise<void>;
  /** For after all tests. */
  end(): Promise<void>;
}

export async function givenWorkerTest(options: { userSshConfig?: boolean } = {}): Promise<WorkerTest> {
  const [database, bundle] = await Promise.all([givenDatabase(), buildAgentBundle()]);
  const folder = mkdtempSync(join(tmpdir(), 'helix-workers-'));
  const book = givenMemoryBook();
  givenSharedHome(join(folder, 'home'));
  const ssh = createSshTransport({
    folder: join(folder, 'ssh'),
    partsFolder: PARTS_FOLDER,
    userSshConfig: options.userSshConfig ?? false,
    bundle,
  });
  const local = createLocalTransport({ folder: join(folder, 'local'), bundle });
  const begin = (more: Partial<TestRegistryOptions> = {}): Promise<TestRegistry> =>
    givenRegistry({ db: database.db, folder, book, transports: { ssh, local }, agentHash: bundle.hash, ...more });

  const workerTest: WorkerTest = {
    database,
    folder,
    book,
    registry: await begin(),
    async restart(more) {
      await workerTest.registry.stop();
      return (workerTest.registry = await begin(more));
    },
    run(worker, command) {
      const attempt = newId('attempt');
      const spec: JobSpec = { command, env: {}, killGraceMs: 200, outputLimitBytes: 1e9 };
      book.want(worker.row.id, attempt, spec);
      workerTest.registry.assign(worker.row.id, attempt, spec, {});
      return attempt;
    },
    async clean() {
      for (const worker of workerTest.registry.all()) await workerTest.registry.remove(worker, true);
    },
    async end() {
      await workerTest.registry.stop();
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return workerTest;
}

/** A worker's folder in which another machine's worker lives too: what one test installed there, the next finds. */
function givenSharedHome(home: string): void {
  mkdirSync(join(home, 'run', 'another-host', 'wrk_another'), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, '.helix-worker'), '#!/bin/sh\nexit 0\n', { mode: 0o700 });
}

let number = 0;

/** A worker on that sshd, in the shared folder; by default everything about it is right. */
export function sshWorker(sshd: TestSshd, folder: string, over: Partial<NewWorkerRequest> = {}): NewWorkerRequest {
  const name = `box-${number++}`;
  return {
    name,
    transport: 'ssh',
    labels: [],
    host: sshd.host,
    port: sshd.port,
    user: sshd.user,
    identityFile: sshd.identityFile,
    knownHostsFile: sshd.knownHostsFile,
    folder: join(folder, 'home'),
    ...over,
  };
}

/** Waits until a worker is blocked, and says why. */
export async function whyBlocked(
  registry: TestRegistry,
  worker: WorkerSupervisor,
): Promise<NonNullable<WorkerSupervisor['row']['reason']>> {
  await registry.whenState(worker, 'blocked');
  if (!worker.row.reason) throw new Error('blocked without a reason');
  return worker.row.reason;
}

/** Process ids of the ssh clients that hold the links of a worker. */
export function sshClientsOf(folder: string, worker: WorkerSupervisor): number[] {
  const config = join(folder, 'ssh', worker.row.id, 'config');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words[0] === 'ssh' && words.includes(config);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** The daemon that serves a worker with this home, from its lock. */
export function daemonOf(home: string, worker: WorkerSupervisor): number {
  return Number(readFileSync(join(home, 'run', hostname(), worker.row.id, 'lock'), 'utf8').split(' ')[0]);
}
