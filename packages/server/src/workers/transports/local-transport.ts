import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { hostname, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import { NO_ROOM_STATUS } from '@helixcode/protocol/worker/daemon-status';
import type { WorkerRow } from '../worker-row.ts';
import type { AgentBundle, WorkerTransport } from './worker-transport.ts';

const START_WITHIN_MS = 15_000;
const RETRY_MS = 5;

export interface LocalTransportOptions {
  bundle: AgentBundle;
  /** Holds the home of each local worker, under its name. */
  folder: string;
}

/** Reaches the daemon of a worker on the server's own machine by its socket, starting it where none answers. */
export function createLocalTransport({ bundle, folder }: LocalTransportOptions): WorkerTransport {
  const homeOf = (worker: WorkerRow): string => worker.home ?? worker.address.folder ?? join(folder, worker.name);
  const isHere = (worker: WorkerRow): boolean => worker.host === null || worker.host === hostname();

  return {
    async connect({ worker }, ears, signal) {
      const home = homeOf(worker);
      const paths = socketPaths(home, worker.id);
      await ears.onStep('connect');
      const running = await tryConnect(paths);
      if (running) return running;
      await mkdir(home, { recursive: true, mode: 0o700 });
      return startDaemon(home, worker, paths, signal);
    },

    async uninstall({ worker }) {
      const home = homeOf(worker);
      if (!isHere(worker))
        throw new CodedError('worker.unreachable', `${worker.name} is a local worker on ${worker.host}, which this server does not run on`);
      await promisify(execFile)(process.execPath, [bundle.path, 'stop', '--ns', worker.id], { env: environmentOf(home) });
      const own = dirname(socketPaths(home, worker.id)[0] ?? '');
      await rm(own, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      // A folder that a person named may hold more than the worker: only what is empty goes.
      if (worker.address.folder === undefined) await rm(home, { recursive: true, force: true });
      else for (const folder of [dirname(own), dirname(dirname(own)), home]) await rmdir(folder).catch(() => {});
    },

    // Who may enter the folder of a user's own processes is that user, on that machine.
    async mayTakeOver(worker) {
      if (!isHere(worker)) return false;
      const found = await stat(homeOf(worker)).catch(() => undefined);
      return found !== undefined && found.uid === userInfo().uid;
    },

    addressOf: homeOf,
  };

  async function startDaemon(home: string, worker: WorkerRow, paths: readonly string[], signal: AbortSignal): Promise<Socket> {
    const logFile = join(dirname(paths[0] ?? home), 'daemon.log');
    await mkdir(dirname(logFile), { recursive: true, mode: 0o700 });
    const logged = await open(logFile, 'a', 0o600);
    // In a session of its own and holding nothing of ours: it outlives this server, as its jobs do.
    const daemon = spawn(process.execPath, [bundle.path, 'daemon', '--ns', worker.id], {
      detached: true,
      stdio: ['ignore', logged.fd, logged.fd],
      cwd: home,
      env: environmentOf(home),
    });
    let exitCode: number | undefined;
    let endedBy: NodeJS.Signals | undefined;
    daemon.on('exit', (code, signal) => {
      exitCode = code ?? 1;
      endedBy = signal ?? undefined;
    });
    daemon.on('error', () => (exitCode = 1));
    daemon.unref();
    await logged.close();
    for (const deadlineMs = performance.now() + START_WITHIN_MS; performance.now() < deadlineMs; ) {
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      const socket = await tryConnect(paths);
      if (socket) return socket;
      // Status 0: another daemon was quicker, and is about to listen.
      if (exitCode !== undefined && exitCode !== 0) break;
    }
    const said = (await readFile(logFile, 'utf8')).trim().split('\n').slice(-5).join('\n');
    // What passes by itself needs no person: a kernel short of memory, an operator's kill, a full disk.
    if (endedBy)
      throw new CodedError('worker.unreachable', `the worker in ${home} was ended by ${endedBy} while it started`, {
        next: `nothing: it is started again by itself; ${logFile} has what it said`,
      });
    if (exitCode === NO_ROOM_STATUS)
      throw new CodedError('worker.unreachable', `the worker in ${home} did not start: there is no room for its files`, {
        next: `free space in ${home}; it is started again by itself`,
        details: { path: home },
      });
    throw new CodedError(
      'worker.bootstrap_failed',
      `the worker in ${home} did not start: ${said.split('\n').at(-1) || 'it said nothing'}`,
      {
        next: `look into ${logFile}, then \`helix workers reconnect ${worker.name}\``,
        details: { step: 'start the daemon', ...(exitCode !== undefined && { exitCode }), ...(said && { said }) },
      },
    );
  }
}

/** What jobs may find around them is the worker's business; nothing secret of the server's goes along. */
function environmentOf(home: string): Record<string, string> {
  const names = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'TMPDIR'];
  const kept = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return { ...Object.fromEntries(kept), HELIX_WORKER_HOME: home };
}

/** Where a daemon listens: `run/<host>/<namespace>/w.sock` in its home, or under /tmp where that path is too long. */
export function socketPaths(home: string, namespace: string): string[] {
  const host = hostname().replaceAll(/[^A-Za-z0-9.-]/g, '_') || 'localhost';
  const runFolder = join(home, 'run', host, namespace);
  const digest = createHash('sha256').update(runFolder).digest('hex').slice(0, 16);
  return [join(runFolder, 'w.sock'), join('/tmp', `helix-${userInfo().uid}`, `${digest}.sock`)];
}

async function tryConnect(paths: readonly string[]): Promise<Socket | undefined> {
  for (const path of paths) {
    // Longer addresses are cut off by the system, and could name another socket.
    if (Buffer.byteLength(path) > 100) continue;
    const socket = await new Promise<Socket | undefined>((resolve) => {
      const attempt = connect(path);
      attempt.once('connect', () => resolve(attempt));
      attempt.once('error', () => resolve(undefined));
    });
    if (socket) return socket;
  }
  return undefined;
}
