import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDb } from '@helixcode/server/db/db';
import { startEmbeddedPostgres, stopEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { createNotifier, openListener } from '@helixcode/server/db/listen';
import { processIdentity } from '@helixcode/server/db/process-identity';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { givenProgram } from '../support/program.ts';

const starter = path.join(import.meta.dirname, 'programs/start-postgres.ts');
const isRoot = process.getuid?.() === 0;
let parent: string;
let folder: string;

beforeAll(() => {
  parent = givenParent();
  // Its parent is not there yet either.
  folder = path.join(parent, 'data/postgres');
});
// Every test begins with a stopped database and leaves none behind.
afterEach(() => stopEmbeddedPostgres(folder));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

test('what was committed is there after a stop and a start, on the same port', async () => {
  const first = await startEmbeddedPostgres(folder);
  expect(first.adopted).toBe(false);
  await query(first.url, 'create table kept (n int); insert into kept values (7)');
  await first.stop();
  await expect(query(first.url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });

  const second = await startEmbeddedPostgres(folder);
  expect(await query(second.url, 'select n from kept')).toEqual([{ n: 7 }]);
  expect(second).toMatchObject({ adopted: false, port: first.port });
});

test('it asks for a password, listens on the loopback only and makes no socket file', async () => {
  const { url } = await startEmbeddedPostgres(folder);

  await expect(query(url.replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toMatchObject({ code: '28P01' });
  expect(
    await query(
      url,
      `select current_setting('listen_addresses') as listen, current_setting('unix_socket_directories') as sockets,
                             current_setting('max_connections') as connections, current_setting('fsync') as fsync`,
    ),
  ).toEqual([{ listen: '127.0.0.1', sockets: '', connections: '100', fsync: 'on' }]);
  expect(statSync(path.join(folder, '18/password')).mode & 0o777).toBe(0o600);
});

test('the database of a process that was killed is adopted by the next', async () => {
  const killed = await givenProgram(starter, folder);
  const left = JSON.parse(killed.line) as { pid: number; port: number };
  await killed.kill();

  const adopted = await startEmbeddedPostgres(folder);
  expect(adopted).toMatchObject({ adopted: true, pid: left.pid, port: left.port });
  expect(await query(adopted.url, 'select 1 as one')).toEqual([{ one: 1 }]);

  await adopted.stop();
  await expect(query(adopted.url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('of two processes that start it at once, one starts it and the other adopts it', async () => {
  const programs = await Promise.all([givenProgram(starter, folder), givenProgram(starter, folder)]);
  const got = programs.map(({ line }) => JSON.parse(line) as { pid: number; adopted: boolean });
  await Promise.all(programs.map((program) => program.kill()));

  expect(new Set(got.map(({ pid }) => pid)).size).toBe(1);
  expect(got.filter(({ adopted }) => adopted).length).toBe(1);
});

test('PostgreSQL killed in the middle of work comes back with what was committed, once its last backend is gone', async () => {
  const killed = await startEmbeddedPostgres(folder);
  await query(killed.url, 'create table committed (n int); insert into committed values (1)');
  const backend = await givenBusyBackend(killed.url);
  process.kill(killed.pid, 'SIGKILL');
  expect(processIdentity(backend)).toBeDefined();

  const back = await startEmbeddedPostgres(folder);

  expect(back).toMatchObject({ adopted: false, port: killed.port });
  expect(processIdentity(backend)).toBeUndefined();
  expect(await query(back.url, 'select n from committed')).toEqual([{ n: 1 }]);
});

test('connections and listeners of a living process work again after PostgreSQL was killed and started', async () => {
  const killed = await startEmbeddedPostgres(folder);
  const db = openDb(killed.url);
  const listener = openListener(killed.url);
  const heard: (string | undefined)[] = [];
  const again = Promise.withResolvers<void>();
  await listener.on('tasks', (payload) => {
    heard.push(payload);
    if (payload === 'back') again.resolve();
  });
  const asleep = expect(db.query('select pg_sleep(60)')).rejects.toMatchObject({ code: 'database.unavailable' });
  process.kill(killed.pid, 'SIGKILL');
  await asleep;

  await startEmbeddedPostgres(folder);
  expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  while (heard.length === 0) await db.query('select pg_sleep(0.01)');
  createNotifier(db).notify('tasks', 'back');
  await again.promise;
  expect(heard).toEqual([undefined, 'back']);
  await Promise.all([db.close(), listener.close()]);
});

describe('when the number in postmaster.pid belongs to another process now', () => {
  test('a cluster that nobody uses starts', async () => {
    const killed = await startEmbeddedPostgres(folder);
    process.kill(killed.pid, 'SIGKILL');
    await using stranger = await givenStranger();
    writePid(stranger.pid);

    expect(await startEmbeddedPostgres(folder)).toMatchObject({ adopted: false });
    expect(stranger.isAlive()).toBe(true);
  });

  test('a cluster that backends still use is left to them first', async () => {
    const killed = await startEmbeddedPostgres(folder);
    const backend = await givenBusyBackend(killed.url);
    process.kill(killed.pid, 'SIGKILL');
    await using stranger = await givenStranger();
    writePid(stranger.pid);
    expect(processIdentity(backend)).toBeDefined();

    expect(await startEmbeddedPostgres(folder)).toMatchObject({ adopted: false });
    expect(processIdentity(backend)).toBeUndefined();
  });

  test('stopping ends nobody else', async () => {
    const running = await startEmbeddedPostgres(folder);
    process.kill(running.pid, 'SIGKILL');
    await using stranger = await givenStranger();
    writePid(stranger.pid);

    await stopEmbeddedPostgres(folder);
    await running.stop();
    expect(stranger.isAlive()).toBe(true);
  });
});

test('another port is taken when the last one is in use', async () => {
  const first = await startEmbeddedPostgres(folder);
  await first.stop();
  const server = createServer().listen(first.port, '127.0.0.1');
  await once(server, 'listening');

  const second = await startEmbeddedPostgres(folder);
  server.close();
  expect(second.port).not.toBe(first.port);
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a cluster whose making was interrupted is made again from the beginning', async () => {
  const other = path.join(parent, 'interrupted');
  mkdirSync(path.join(other, 'scratch-1-abcd/data'), { recursive: true });
  writeFileSync(path.join(other, 'scratch-1-abcd/data/PG_VERSION'), '18\n');

  const made = await startEmbeddedPostgres(other);
  await made.stop();
  expect(readdirSync(other).filter((name) => name.startsWith('scratch-'))).toEqual([]);
});

test('a setting PostgreSQL does not know is an error that quotes it', async () => {
  await startEmbeddedPostgres(folder).then(({ stop }) => stop());
  await expect(startEmbeddedPostgres(folder, { settings: { max_connectoins: '1' } })).rejects.toMatchObject({
    code: 'database.start_failed',
    message: expect.stringContaining('unrecognized configuration parameter "max_connectoins"'),
    next: expect.stringContaining('postgres.log'),
  });
});

test.skipIf(!isRoot)('root is told which folder is closed to the account PostgreSQL runs as', async () => {
  const closed = mkdtempSync(path.join(tmpdir(), 'helixcode-closed-'));
  try {
    await expect(startEmbeddedPostgres(path.join(closed, 'data/postgres'))).rejects.toMatchObject({
      code: 'database.folder_closed',
      message: expect.stringContaining(closed),
      next: expect.stringContaining('/var/lib'),
    });
  } finally {
    rmSync(closed, { recursive: true });
  }
});

test.skipIf(!isRoot)('root gives away the folder of the database and nothing above it', async () => {
  await startEmbeddedPostgres(folder);
  expect(statSync(folder).uid).not.toBe(0);
  expect(statSync(path.dirname(folder)).uid).toBe(0);
});

function givenParent(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'helixcode-embedded-'));
  chmodSync(made, 0o755);
  return made;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** @returns the pid of a backend that computes for a second or so and does not see that its postmaster died */
async function givenBusyBackend(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const busy = client.query(`select sum(sqrt(n)) from generate_series(1, 6000000) as n`);
  // It ends with the connection, when the backend sees at last that its postmaster is gone.
  busy.catch(() => {});
  const watcher = new pg.Client({ connectionString: url });
  watcher.on('error', () => {});
  await watcher.connect();
  for (;;) {
    const seen = await watcher.query(`select from pg_stat_activity where pid = $1 and state = 'active'`, [rows[0]?.pid]);
    if (seen.rowCount === 1) break;
  }
  watcher.end().catch(() => {});
  return rows[0]?.pid ?? 0;
}

function writePid(pid: number): void {
  const file = path.join(folder, '18/data/postmaster.pid');
  const [, ...rest] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, [String(pid), ...rest].join('\n'));
}

/** A process of the same account as the database's: one whose number PostgreSQL would respect. */
async function givenStranger(): Promise<AsyncDisposable & { pid: number; isAlive(): boolean }> {
  const { uid, gid } = statSync(path.join(folder, '18'));
  const child = spawn('sleep', ['600'], { stdio: 'ignore', cwd: '/', ...(isRoot && { uid, gid }) });
  await once(child, 'spawn');
  return {
    pid: child.pid ?? 0,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
