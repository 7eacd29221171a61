import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import pg from 'pg';
import { canExecute, closedFolder, type DatabaseAccount, databaseAccount } from './database-account.ts';
import { type PostgresBinaries, postgresBinaries, postgresMajor } from './postgres-binaries.ts';
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
  stop(): Promise<void>;
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

const superuser = 'helix';
const startLimitMs = 120_000;
/** How long a fast shutdown may write its last checkpoint before an immediate one (which is safe, only slower to start again). */
const stopLimitMs = 30_000;
const logKeptBytes = 16 * 1024 * 1024;

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
export async function startEmbeddedPostgres(
  folder: string,
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  try {
    return await startOrAdopt(folder, options.settings ?? {}, performance.now() + startLimitMs);
  } catch (error) {
    if (!isErrno(error, 'EACCES') && !isErrno(error, 'EPERM')) throw error;
    throw new CodedError(
      'database.folder_closed',
      `the database folder ${folder} is closed to this user: ${(error as Error).message}`,
      {
        next: `start as the user who owns ${folder}, or choose another data folder`,
        cause: error,
      },
    );
  }
}

/** Ends the PostgreSQL of `folder` in order, if one runs, whoever started it. */
export async function stopEmbeddedPostgres(folder: string): Promise<void> {
  const data = path.join(realpathSync(folder), String(postgresMajor), 'data');
  const found = readPostmasterPid(data);
  if (found !== undefined) await stop(data, found.pid);
}

/** Where everything lies, with every link in the path resolved: PostgreSQL is recognised by this path. */
interface Place {
  folder: string;
  cluster: string;
  data: string;
  passwordFile: string;
  log: string;
  account: DatabaseAccount | undefined;
}

interface Running {
  pid: number;
  port: number;
}

async function startOrAdopt(
  folder: string,
  settings: Record<string, string>,
  deadlineMs: number,
): Promise<EmbeddedPostgres> {
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

async function openPlace(given: string): Promise<Place> {
  mkdirSync(given, { recursive: true, mode: 0o700 });
  const folder = realpathSync(given);
  const cluster = path.join(folder, String(postgresMajor));
  const account = await databaseAccount(cluster);
  if (account !== undefined) {
    chownSync(folder, account.uid, account.gid);
    if (!(await canExecute(account, folder))) throw closedToAccount(folder, account);
  }
  return {
    folder,
    cluster,
    data: path.join(cluster, 'data'),
    passwordFile: path.join(cluster, 'password'),
    log: path.join(folder, 'postgres.log'),
    account,
  };
}

function closedToAccount(folder: string, account: DatabaseAccount): CodedError {
  const closed = closedFolder(account, folder) ?? folder;
  return new CodedError(
    'database.folder_closed',
    `PostgreSQL cannot run as root, and ${closed} is closed to the user (uid ${account.uid}) it would run as`,
    {
      next: `choose a data folder outside ${closed}, for example below /var/lib, or set DATABASE_URL`,
      details: { folder, closed },
    },
  );
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

function isCluster(place: Place): boolean {
  return statSync(path.join(place.data, 'PG_VERSION'), { throwIfNoEntry: false }) !== undefined;
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
    throw new CodedError(
      'database.start_failed',
      `port ${port} is answered by another PostgreSQL, whose data is in ${rows[0]?.folder}`,
      {
        next: `look at ${place.log}`,
      },
    );
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

/** Makes the cluster and its password in a scratch folder; the rename at the end makes both valid at once or not at all. */
async function makeCluster(place: Place, binaries: PostgresBinaries, settings: Record<string, string>): Promise<void> {
  for (const name of readdirSync(place.folder)) {
    // A killed starter's initdb may still be writing into its own scratch folder: then it stays until the next time.
    if (name.startsWith('scratch-')) {
      try {
        rmSync(path.join(place.folder, name), { recursive: true, force: true });
      } catch (error) {
        if (!isErrno(error, 'ENOTEMPTY')) throw error;
      }
    }
  }
  const scratch = path.join(place.folder, `scratch-${process.pid}-${randomBytes(4).toString('hex')}`);
  mkdirSync(scratch, { mode: 0o700 });
  const passwordFile = path.join(scratch, 'password');
  writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true });
  if (place.account !== undefined) {
    for (const made of [scratch, passwordFile]) chownSync(made, place.account.uid, place.account.gid);
  }

  await runInitdb(place, binaries, [
    `--pgdata=${path.join(scratch, 'data')}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(settings.fsync === 'off' ? ['--no-sync'] : []),
  ]);
  renameSync(scratch, place.cluster);
  const folder = openSync(place.folder, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function runInitdb(place: Place, binaries: PostgresBinaries, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(binaries.initdb, args, {
      ...place.account,
      cwd: '/',
      env: programEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text));
    child.stderr.on('data', (text: Buffer) => (output += text));
    child.on('error', (error) => reject(notExecutable(binaries.initdb, error.message, error)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(startFailed(place, `initdb ended with ${signal ?? code}`, output));
    });
  });
}

async function start(
  place: Place,
  binaries: PostgresBinaries,
  settings: Record<string, string>,
  deadlineMs: number,
): Promise<Running> {
  for (;;) {
    const left = readPostmasterPid(place.data);
    if (left !== undefined && processExists(left.pid) && !isPostmasterOf(place.data, left.pid))
      disownPostmasterPid(place.data);

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
const mayPass =
  /pre-existing shared memory block|lock file "postmaster\.pid" already exists|could not create any TCP\/IP sockets/;

function spawnPostgres(
  place: Place,
  binaries: PostgresBinaries,
  port: number,
  settings: Record<string, string>,
): ChildProcess {
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
      throw startFailed(
        place,
        `PostgreSQL (pid ${child.pid}) is still not ready after ${startLimitMs / 1000} s`,
        textFrom(place.log, 0),
      );
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

function urlOf(place: Place, port: number): string {
  const password = readFileSync(place.passwordFile, 'utf8').trim();
  return `postgresql://${superuser}:${password}@127.0.0.1:${port}/postgres`;
}

/** Little is passed on: `PG*` variables would change the server, and keys in ours are not its business. */
const programEnv: NodeJS.ProcessEnv = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

function rotatedLogSize(log: string): number {
  const bytes = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes < logKeptBytes) return bytes;
  renameSync(log, `${log}.1`);
  return 0;
}

function textFrom(file: string, startByte: number): string {
  const log = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(64 * 1024);
    const from = Math.max(startByte, statSync(file).size - buffer.length);
    return buffer.toString('utf8', 0, readSync(log, buffer, 0, buffer.length, from));
  } finally {
    closeSync(log);
  }
}

function startFailed(place: Place, fact: string, output: string): CodedError {
  const isFull = output.includes('No space left on device');
  return new CodedError(
    'database.start_failed',
    `the database in ${place.folder} did not start: ${fact}: ${lastLines(output)}`,
    {
      next: isFull
        ? `free space on the disk of ${place.folder}`
        : `read ${place.log}, or set DATABASE_URL to another PostgreSQL`,
    },
  );
}

function notExecutable(program: string, fact: string, cause: unknown): CodedError {
  return new CodedError('database.binaries_missing', `${program} cannot be executed on this machine: ${fact}`, {
    next: 'set DATABASE_URL to a PostgreSQL 15 or newer (the programs from npm need glibc 2.27 or newer, or macOS)',
    cause,
  });
}

function lastLines(output: string): string {
  const lines = output.trim().split('\n');
  const fatal = lines.filter((line) => /FATAL|PANIC|error:/.test(line));
  return (fatal.length > 0 ? fatal : lines).slice(-3).join(' | ').slice(0, 600);
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
