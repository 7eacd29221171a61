import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { givenRepository } from '../../packages/server/test/projects/repository.ts';
import { givenEmptyDatabase } from '../../packages/server/test/support/database.ts';
import { freePort } from '../../packages/server/test/support/sshd.ts';
import { exitStatusOf, expectFault, expectRefused } from '../support/expect-fault.ts';
import { runTask } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { postgresOf } from '../support/processes.ts';
import { givenHome, removeHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome());
}, 60_000);
afterAll(() => removeServer(server));

/** A data folder that is gone after the test, with the database that may run in it. */
function givenOtherHome(): string {
  const home = givenHome();
  onTestFinished(() => removeHome(home));
  return home;
}

/** Starts the server program and takes what it says when it refuses. */
async function refusedStart(
  home: string,
  env: Record<string, string>,
): Promise<{ exitCode: number; fault: { code: string; message: string; next?: string } }> {
  const main = path.resolve(import.meta.dirname, '../../packages/server/src/main.ts');
  const child = spawn(process.execPath, [main], { env: { ...process.env, ...env, HELIX_HOME: home }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece) => (said += piece));
  const [exitCode] = (await once(child, 'close')) as [number];
  return { exitCode, fault: (JSON.parse(said.trim().split('\n').at(-1) ?? '') as { error: never }).error };
}

test('a server that starts anew in its own place waits for a database that is away, and goes on when it is back [O2]', async () => {
  const database = await givenEmptyDatabase();
  onTestFinished(() => database.drop());
  const real = new URL(database.url);
  const away = new URL(database.url);
  away.port = String(await freePort());
  const main = path.resolve(import.meta.dirname, '../../packages/server/src/main.ts');
  const child = spawn(process.execPath, [main, '--anew'], {
    env: { ...process.env, HELIX_PORT: '0', HELIX_WORKERS_LOCAL: 'false', DATABASE_URL: away.href, HELIX_HOME: givenOtherHome() },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  let isStartedAgain = false;
  for await (const piece of child.stderr) {
    said += String(piece);
    isStartedAgain = said.split('the start failed and is tried again').length > 2;
    if (isStartedAgain) break;
  }
  expect(isStartedAgain, said).toBe(true);
  const back = createServer((socket) => {
    const database = connect(Number(real.port), real.hostname);
    for (const [from, to] of [
      [socket, database],
      [database, socket],
    ] as const)
      from.on('error', () => to.destroy()).pipe(to);
  }).listen(Number(away.port), '127.0.0.1');
  onTestFinished(() => void back.close());
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  expect(line).toMatch(/^listening on http:/);
}, 60_000);

async function expectAtWork(): Promise<void> {
  expect(await runTask(server, { kind: 'shell', spec: { command: 'true' } })).toMatchObject({ state: 'completed' });
}

test('a port in use is named, with the command that takes a free one, and the database of the refused server is not left running', async () => {
  const { port } = new URL(server.url);
  const home = givenOtherHome();
  const run = await helix(home, ['up', '--port', port]);
  expectRefused(run, 'server.port_in_use', [port, 'in use']);
  expect(run.error?.next).toContain('helix up --port 0');
  expect(postgresOf(home)).toBe(undefined);
  await expectAtWork();

  const second = await helix(home, ['up', '--port', '0']);
  expect(second).toMatchObject({ exitCode: 0 });
  expect(await helix(home, ['status'])).toMatchObject({ exitCode: 0 });
  expect(await helix(home, ['down', '--workers'])).toMatchObject({ exitCode: 0 });
});

test('a second server on a data folder is refused with the pid of the first, which goes on; `helix up` shows the one that runs [D1]', async () => {
  const { exitCode, fault } = await refusedStart(server.home, { HELIX_PORT: '0' });
  expectFault(fault, 'server.already_running', [server.home, `pid ${server.pid}`]);
  expect(exitCode).toBe(exitStatusOf('server.already_running'));
  expect(JSON.parse((await helix(server.home, ['up'])).stdout)).toMatchObject({ url: server.url, pid: server.pid, started: false });
  await expectAtWork();
});

test('an unknown or ill-typed key of helix.json is named with its value, what was expected and what was meant [D3]', async () => {
  const home = givenOtherHome();
  const file = path.join(home, 'helix.json');
  writeFileSync(file, JSON.stringify({ workers: { heartbeatMS: 500, lostAfterMs: 'soon' } }));
  const names = [file, 'workers has no key heartbeatMS', 'heartbeatMs', 'workers.lostAfterMs', '"soon"', 'whole number of at least 1000'];
  const up = await helix(home, ['up']);
  expectRefused(up, 'config.invalid', names);
  expectRefused(await helix(home, ['config', 'check', file]), 'config.invalid', names);
  expect(postgresOf(home)).toBe(undefined);

  writeFileSync(file, '{ "workers": { "local": true, } }');
  expectRefused(await helix(home, ['up']), 'config.invalid', [file, 'line 1']);

  rmSync(file);
  const environment = await helix(home, ['up'], { env: { HELIX_WORKERS_HEARTBEAT: '500' } });
  expectRefused(environment, 'config.invalid', ['HELIX_WORKERS_HEARTBEAT', 'HELIX_WORKERS_HEARTBEAT_MS']);
});

test('a wrong helix.json of a repository is refused before anything is handed in [D3] [C2]', async () => {
  const repository = givenRepository();
  repository.commit({ 'helix.json': JSON.stringify({ tools: { test: { runner: 'viteste' } } }) });
  const before = (await server.client.call('projects.list')).items.length;
  const run = await helix(server.home, ['test'], { cwd: repository.folder });
  expectRefused(run, 'config.invalid', ['tools.test.runner', '"viteste"', 'vitest']);
  expect((await server.client.call('projects.list')).items).toHaveLength(before);
});

test('where no server runs, and where a token is wrong, the command says so with its own exit status [C2] [C1]', async () => {
  const home = givenOtherHome();
  expectRefused(await helix(home, ['tasks', 'list']), 'server.unreachable', [home]);
  expectRefused(await helix(home, ['tasks', 'list', '--server', 'http://127.0.0.1:9']), 'auth.token_missing', ['127.0.0.1:9']);
  const token = readFileSync(path.join(server.home, 'owner-token'), 'utf8').trim();
  expectRefused(
    await helix(home, ['tasks', 'list', '--server', 'http://127.0.0.1:9'], { env: { HELIX_TOKEN: token } }),
    'server.unreachable',
    ['127.0.0.1:9'],
  );
  expectRefused(await helix(server.home, ['tasks', 'list'], { env: { HELIX_TOKEN: `${token}x` } }), 'auth.token_refused', ['token']);
});

test('a server whose first line nobody reads serves all the same', async () => {
  const home = givenOtherHome();
  const main = path.resolve(import.meta.dirname, '../../packages/server/src/main.ts');
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, HELIX_HOME: home, HELIX_PORT: '0', HELIX_WORKERS_LOCAL: 'false' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.destroy();
  const ended = once(child, 'exit');
  await expect.poll(() => existsSync(path.join(home, 'server.json')), { timeout: 90_000 }).toBe(true);
  expect(await helix(home, ['status'])).toMatchObject({ exitCode: 0 });
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
}, 120_000);
