import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fchownSync, openSync, realpathSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import pg from 'pg';
import { makeCluster } from './make-cluster.ts';
import { type PostgresBinaries, postgresBinaries, postgresMajor } from './postgres-binaries.ts';
import { lastLines, rotatedLogSize, textFrom } from './postgres-log.ts';
import { isCluster, openPlace, type Place, urlOf } from './postgres-place.ts';
import { notExecutable, programEnv, startFailed } from './postgres-program.ts';
import { disownPostmasterPid, isPostmasterOf, lastPort, processExists, readPostmasterPid } from './postmaster-pid.ts';
import { type ProcessLock, tryProcessLock } from './process-lock.ts';

/** A running PostgreSQL of our own. It outlives this process unless it is stopped, and is then adopted by the next. */
export interface EmbeddedPostgres {
  /** With the password of its only role; the server listens on the loopback only. */
  url: string;
  /** Of the postmaster. */
  pid: number;
  port: number;
  /** Whether it was running already, left behind by a process that was killed. */
  adopted: boolean;
  /** Ends it in order, whoever started it. Connections are cut, committed work is kept. */
  stop: () => Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** PostgreSQL settings on top of ours, in force until the next start; `fsync: 'off'` also makes the first start faster. */
  settings?: Record<string, string>;
}

const settingsOfOurs = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  // Segments as files of the data folder: /dev/shm is 64 MB in a container, and logind empties it of an ordinary user's
  // segments when the user signs out, while the server that `helix up` left behind still needs them.
  dynamic_shared_memory_type: 'mmap',
  // Short statements by the thousand: compiling and parallel workers cost more than they give.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
};

const startLimitMs = 120_000;
/** How long a fast shutdown may write its last checkpoint before an immediate one (which is safe, only slower to start again). */
const stopLimitMs = 30_000;

/**
 * Starts, or finds running, the PostgreSQL whose whole state is `folder`:
 * `18/data` the cluster, `18/password`, `postgres.log`, and `binaries-*` where the installed ones cannot be used in place.
 *
 * Works as root (then `folder`, and nothing above it, is given to an unprivileged account) and as anybody else. May be
 * called by several processes at once: one starts it, the others adopt it. The port of the last start is used again when
 * it is free, so that connections of a process that lives on can be made again.
 *
 * @throws CodedError `database.folder_closed`, `database.binaries_missing`, `database.start_failed`
 */
export async function startEmbeddedPostgres(folder: string, options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  try {
    return await startOrAdopt(folder, options.settings ?? {}, performance.now() + startLimitMs);
  } catch (error) {
    if (!isErrno(error, 'EACCES') && !isErrno(error, 'EPERM')) throw error;
    throw new CodedError('database.folder_closed', `the database folder ${folder} is closed to this user: ${(error as Error).message}`, {
      next: `start as the user who owns ${folder}, or choose another data folder`,
      cause: error,
    });
  }
}

/** Ends the PostgreSQL of `folder` in order, if one runs, whoever started it. */
export async function stopEmbeddedPostgres(folder: string): Promise<void> {
  const data = path.join(realpathSync(folder), String(postgresMajor), 'data');
  const found = readPostmasterPid(data);
  if (found !== undefined) await stop(data, found.pid);
}

interface Running {
  pid: number;
  port: number;
}

async function startOrAdopt(folder: string, settings: Record<string, string>, deadlineMs: number): Promise<EmbeddedPostgres> {
  const place = await openPlace(folder);
  const lock = await startLock(place, deadlineMs);
  try {
    const running = await adopt(place, deadlineMs);
    if (running !== undefined) return embeddedPostgres(place, running, true);

    const binaries = await postgresBinaries(place.folder, place.account);
    if (!isCluster(place)) await makeCluster(place, binaries, settings);
    return embeddedPostgres(place, await start(place, binaries, settings, deadlineMs), false);
  } finally {
    lock.release();
  }
}

async function startLock(place: Place, deadlineMs: number): Promise<ProcessLock> {
  for (;;) {
    const attempt = tryProcessLock(path.join(place.folder, 'starting.lock'), 'starting PostgreSQL');
    if ('lock' in attempt) return attempt.lock;
    if (performance.now() > deadlineMs) {
      throw new CodedError(
        'database.start_failed',
        `process ${attempt.holder.pid} has been starting the database in ${place.folder} since ${attempt.holder.since}`,
        {
          next: `look at ${place.log}; if process ${attempt.holder.pid} hangs, end it`,
        },
      );
    }
    await sleep(20);
  }
}

/** Finds the PostgreSQL that a killed process left behind. One that is only starting or stopping is waited for. */
async function adopt(place: Place, deadlineMs: number): Promise<Running | undefined> {
  for (;;) {
    const found = readPostmasterPid(place.data);
    if (found === undefined || !isPostmasterOf(place.data, found.pid)) return undefined;
    if (found.status === 'ready' && (await answers(place, found.port))) return found;
    if (performance.now() > deadlineMs) {
      throw new CodedError(
        'database.start_failed',
        `PostgreSQL (pid ${found.pid}) owns ${place.data} but does not answer on port ${found.port}`,
        {
          next: `kill -INT ${found.pid}, then start again; its log is ${place.log}`,
        },
      );
    }
    await sleep(10);
  }
}

/** @returns false while it is not yet, or no longer, taking connections */
async function answers(place: Place, port: number): Promise<boolean> {
  const client = new pg.Client({ connectionString: urlOf(place, port), connectionTimeoutMillis: 5_000 });
  // Without a listener a connection that is cut after it was made would end this process.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ folder: string }>(`select current_setting('data_directory') as folder`);
    if (rows[0]?.folder === place.data) return true;
    throw new CodedError('database.start_failed', `port ${port} is answered by another PostgreSQL, whose data is in ${rows[0]?.folder}`, {
      next: `look at ${place.log}`,
    });
  } catch (error) {
    const isWrongPassword = isErrno(error, '28P01');
    if (isWrongPassword) {
      throw new CodedError(
        'database.start_failed',
        `the password in ${place.passwordFile} is not the one of the database in ${place.data}`,
        {
          next: `restore ${place.passwordFile} from a backup`,
          cause: error,
        },
      );
    }
    if (error instanceof CodedError) throw error;
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function start(place: Place, binaries: PostgresBinaries, settings: Record<string, string>, deadlineMs: number): Promise<Running> {
  for (;;) {
    const left = readPostmasterPid(place.data);
    if (left !== undefined && processExists(left.pid) && !isPostmasterOf(place.data, left.pid)) disownPostmasterPid(place.data);

    const logStart = rotatedLogSize(place.log);
    const port = await choosePort(place.data);
    const child = spawnPostgres(place, binaries, port, settings);
    const ended = await readyOrEnded(place, child, deadlineMs);
    if (ended === undefined && child.pid !== undefined) return { pid: child.pid, port };

    const said = textFrom(place.log, logStart);
    if (ended?.error !== undefined) throw notExecutable(binaries.postgres, ended.error.message, ended.error);
    if (ended?.code === 127) throw notExecutable(binaries.postgres, lastLines(said), undefined);
    if (!mayPass.test(said) || performance.now() > deadlineMs) {
      throw startFailed(place, `PostgreSQL ended with ${ended?.signal ?? ended?.code}`, said);
    }
    await sleep(100);
  }
}

/**
 * Refusals that end by themselves: backends of a killed postmaster that have not noticed yet, a postmaster started by
 * other means that is just going, a port taken between our choice and PostgreSQL's use of it.
 */
const mayPass = /pre-existing shared memory block|lock file "postmaster\.pid" already exists|could not create any TCP\/IP sockets/;

function spawnPostgres(place: Place, binaries: PostgresBinaries, port: number, settings: Record<string, string>): ChildProcess {
  const log = openSync(place.log, 'a', 0o600);
  try {
    if (place.account !== undefined) fchownSync(log, place.account.uid, place.account.gid);
    return spawn(
      binaries.postgres,
      [
        '-D',
        place.data,
        '-p',
        String(port),
        ...Object.entries({ ...settingsOfOurs, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      // In a process group of its own, so that Ctrl-C on our terminal does not end it under us.
      { ...place.account, cwd: '/', env: programEnv, detached: true, stdio: ['ignore', log, log] },
    );
  } finally {
    closeSync(log);
  }
}

interface Ended {
  code?: number | null;
  signal?: NodeJS.Signals | null;
  error?: Error;
}

/** @returns `undefined` when it takes connections, else how it ended */
async function readyOrEnded(place: Place, child: ChildProcess, deadlineMs: number): Promise<Ended | undefined> {
  let ended: Ended | undefined;
  child.on('error', (error) => (ended = { error }));
  child.on('exit', (code, signal) => (ended = { code, signal }));
  child.unref();
  for (;;) {
    if (ended !== undefined) return ended;
    const found = readPostmasterPid(place.data);
    if (found?.pid === child.pid && found?.status === 'ready') return undefined;
    if (performance.now() > deadlineMs) {
      // It is left running: a long recovery goes on, and the next start adopts it.
      throw startFailed(place, `PostgreSQL (pid ${child.pid}) is still not ready after ${startLimitMs / 1000} s`, textFrom(place.log, 0));
    }
    await sleep(3);
  }
}

async function choosePort(data: string): Promise<number> {
  const last = lastPort(data);
  return (last === undefined ? undefined : await listenable(last)) ?? (await listenable(0)) ?? 0;
}

/** @returns the port, chosen by the system for 0; `undefined` when it is taken */
function listenable(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}

function embeddedPostgres(place: Place, { pid, port }: Running, adopted: boolean): EmbeddedPostgres {
  return { url: urlOf(place, port), pid, port, adopted, stop: () => stop(place.data, pid) };
}

async function stop(data: string, pid: number): Promise<void> {
  const end = async (signal: NodeJS.Signals): Promise<boolean> => {
    // Looked at each time: the number may be somebody else's by now.
    if (!isPostmasterOf(data, pid)) return true;
    process.kill(pid, signal);
    for (const limitMs = performance.now() + stopLimitMs; performance.now() < limitMs; await sleep(5)) {
      if (!isPostmasterOf(data, pid)) return true;
    }
    return false;
  };
  if ((await end('SIGINT')) || (await end('SIGQUIT'))) return;
  throw new CodedError('database.stop_failed', `PostgreSQL (pid ${pid}) in ${data} does not stop`, {
    next: `kill -9 ${pid}, which loses no committed work`,
  });
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
