import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import type { WorkerView } from '@helixcode/protocol/api/views';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type FaultProxy, givenFaultProxy } from '../../packages/server/test/support/fault-proxy.ts';
import { freePort } from '../../packages/server/test/support/sshd.ts';
import { readText, runTask, snapshotOf } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { type Joiner, type JoinOptions, startJoiner } from '../support/joined-worker.ts';
import { daemonOf, processesWith } from '../support/processes.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, newestEvent, outputReaches, taskIsSettled } from '../support/wait-for.ts';

const noOpenssl = spawnSync('openssl', ['version']).status !== 0;
const LINES = 3_000;
/** In thirty gulps with a pause after each; before the last ten it waits for the file `gate`. */
const printLines = (gate: string): string =>
  `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "out $i"; echo "err $i" >&2; [ $((i % 100)) = 0 ] && sleep 0.1;
   while [ $i = 2000 ] && ! [ -e '${gate}' ]; do sleep 0.1; done; done; exit 7`;
const linesOf = (stream: string, count = LINES): string => Array.from({ length: count }, (_, index) => `${stream} ${index + 1}\n`).join('');

const home = givenHome();
const environment: Record<string, string> = { HELIX_WORKERS_LOCAL: 'false', HELIX_WORKERS_HEARTBEAT_MS: '500' };
let server: ServerProcess;
let proxy: FaultProxy;
/** Where machines find the server: through a network that can be cut. */
let url: string;
const joiners: Joiner[] = [];

beforeAll(async () => {
  environment['HELIX_PORT'] = String(await freePort());
  server = await startServer(home, environment);
  proxy = await givenFaultProxy(Number(environment['HELIX_PORT']));
  url = `http://127.0.0.1:${proxy.port}`;
}, 60_000);
afterEach(() => proxy.heal());
afterAll(async () => {
  await removeServer(server);

  await Promise.all(joiners.map((joiner) => joiner.kill()));
  await proxy?.close();
}, 60_000);

const folderOf = (name: string): string => path.join(home, 'far', name);

function join(name: string, options: Partial<JoinOptions> = {}): Joiner {
  const joiner = startJoiner(url, { folder: folderOf(name), ...options });
  joiners.push(joiner);
  return joiner;
}

async function enrol(name: string, more: { validMs?: number; labels?: string[] } = {}): Promise<string> {
  return (await server.client.call('workers.enrol', { body: { name, ...more } })).token;
}

/** A machine that has just joined, and is up. */
async function givenJoined(name: string, options: Partial<JoinOptions> = {}): Promise<{ worker: WorkerView; joiner: Joiner }> {
  const token = await enrol(name);
  const { id } = await server.client.call('workers.get', { params: { worker: name } });
  const joiner = join(name, { token, ...options });
  await whenMoved({ id }, 'up', 0);
  return { worker: await server.client.call('workers.get', { params: { worker: id } }), joiner };
}

async function whenMoved({ id }: Pick<WorkerView, 'id'>, state: WorkerState, after: number): Promise<void> {
  await eventOf(server, `worker:${id}`, ({ body }) => body.type === 'worker.moved' && body.to === state, after);
}

async function untilBack(worker: WorkerView, fault: () => unknown): Promise<void> {
  const before = await newestEvent(server.client);
  await fault();
  await whenMoved(worker, 'suspect', before);
  await whenMoved(worker, 'up', before);
}

async function submit(worker: WorkerView, command: string): Promise<string> {
  return (await server.client.call('tasks.submit', { body: { kind: 'shell', worker: worker.id, spec: { command } } })).id;
}

async function expectExact(task: string): Promise<void> {
  expect(await taskIsSettled(server, task)).toMatchObject({ state: 'failed', attempts: [{ number: 1, state: 'exited', exitCode: 7 }] });
  for (const stream of ['out', 'err']) expect((await readText(server.client, task, stream)) === linesOf(stream)).toBe(true);
}

test('a job on a worker that dials in gives every byte once, whatever is killed or cut while it runs [W2] [W7]', async () => {
  const { worker, joiner } = await givenJoined('survivor', { byHelix: true });
  const gate = path.join(home, 'survivor-gate');
  const task = await submit(worker, printLines(gate));
  const reaches = (line: number): Promise<void> => outputReaches(server.client, task, linesOf('out', line).length);

  await reaches(200);
  let linked = joiner;
  await untilBack(worker, async () => {
    await linked.kill();
    linked = join('survivor'); // without a token: it has its own now
  });

  await reaches(600);
  const daemon = daemonOf(folderOf('survivor'), worker.id);
  await untilBack(worker, () => process.kill(daemon ?? 0, 'SIGKILL'));
  expect(daemonOf(folderOf('survivor'), worker.id)).not.toBe(daemon);

  await reaches(1_000);
  const restarted = await newestEvent(server.client);
  await server.kill();
  server = await startServer(home, environment);
  await whenMoved(worker, 'up', restarted);

  await reaches(1_600);
  const cut = await newestEvent(server.client);
  proxy.blackhole();
  await whenMoved(worker, 'degraded', cut);
  await whenMoved(worker, 'suspect', cut);
  expect(await server.client.call('tasks.get', { params: { task } })).toMatchObject({ state: 'running', attempt: { unknown: true } });
  // It ends while nobody is linked; and that is longer than the worker's own patience, so that it dials anew.
  writeFileSync(gate, '');
  await sleep(4_500);
  proxy.heal();
  await whenMoved(worker, 'up', cut);

  await expectExact(task);
}, 60_000);

test('a link that breaks while the daemon is only starting is dialled anew [W2]', async () => {
  const { worker, joiner } = await givenJoined('early');
  await joiner.kill();
  process.kill(daemonOf(folderOf('early'), worker.id) ?? 0, 'SIGKILL');
  const before = await newestEvent(server.client);
  const again = join('early');
  await whenMoved(worker, 'connecting', before);
  proxy.reset();
  expect(await Promise.race([again.ended, runTask(server, { kind: 'shell', worker: worker.id, spec: { command: 'true' } })])).toMatchObject(
    {
      state: 'completed',
    },
  );
}, 60_000);

test('code reaches a worker that dials in, and large output comes back, over the same link [W2]', async () => {
  const { worker } = await givenJoined('carrier');
  const repository = path.join(home, 'sample');
  const content = randomBytes(1_500_000);
  execFileSync('git', ['init', '-q', repository]);
  writeFileSync(path.join(repository, 'content'), content);
  const author = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org'];
  execFileSync('git', [...author, 'add', '.'], { cwd: repository });
  execFileSync('git', [...author, 'commit', '-qm', 'one'], { cwd: repository });
  const { project, commit } = await snapshotOf(server.client, repository);
  const task = await runTask(server, {
    kind: 'shell',
    worker: worker.id,
    spec: { command: 'od -An -v -tx1 content', project, commit },
  });
  expect(task.state).toBe('completed');
  const text = await readText(server.client, task.id);
  expect(text.replaceAll(/\s/g, '') === content.toString('hex')).toBe(true);
});

test('an agent that the server has replaced makes room for the new one, and running jobs go on [W2] [W3]', async () => {
  const { worker, joiner } = await givenJoined('upgraded');
  const newest = worker.agent ?? '';
  const gate = path.join(home, 'upgraded-gate');
  const task = await submit(worker, printLines(gate));
  await outputReaches(server.client, task, linesOf('out', 200).length);

  // The machine as it would be before an upgrade of the server: an older agent, joiner and daemon.
  const bundle = readFileSync(path.resolve(import.meta.dirname, '../../packages/worker/dist/helix-worker.cjs'), 'utf8');
  const oldProgram = path.join(folderOf('upgraded'), 'old-agent.cjs');
  writeFileSync(oldProgram, bundle.replaceAll(newest, '0123456789abcdef'));
  await joiner.kill();
  process.kill(daemonOf(folderOf('upgraded'), worker.id) ?? 0, 'SIGKILL');
  const env = { ...process.env, HELIX_WORKER_HOME: folderOf('upgraded') };
  spawn(process.execPath, [oldProgram, 'daemon', '--ns', worker.id], { env, detached: true, stdio: 'ignore' }).unref();
  await expect.poll(() => readFileSync(logOf('upgraded', worker), 'utf8')).toContain('daemon 0123456789abcdef serves');
  const oldDaemon = daemonOf(folderOf('upgraded'), worker.id);

  const before = await newestEvent(server.client);
  const old = join('upgraded', { program: oldProgram });
  await whenMoved(worker, 'up', before);
  expect(old.said()).toContain(`agent 0123456789abcdef makes room for ${newest}`);
  expect(readFileSync(`/proc/${old.pid}/cmdline`, 'utf8')).toContain(`/agents/${newest}.cjs`);
  expect(daemonOf(folderOf('upgraded'), worker.id)).not.toBe(oldDaemon);
  expect(await server.client.call('workers.get', { params: { worker: worker.id } })).toMatchObject({ agent: newest, state: 'up' });
  expect(await server.client.call('tasks.get', { params: { task } })).toMatchObject({ state: 'running' });
  writeFileSync(gate, '');
  await expectExact(task);
}, 60_000);

test('the token of a worker is readable by its owner only, stands in no command line and no log, and the daemon inherits none', async () => {
  const token = await enrol('discreet');
  const { id } = await server.client.call('workers.get', { params: { worker: 'discreet' } });
  join('discreet', { env: { HELIX_ENROL_TOKEN: token, WORKER_CAPABILITIES: 'gpu, big-disk' } });
  await whenMoved({ id }, 'up', 0);
  expect(await server.client.call('workers.get', { params: { worker: id } })).toMatchObject({
    transport: 'dial-in',
    labels: expect.arrayContaining(['gpu', 'big-disk']),
  });

  const folder = path.join(folderOf('discreet'), 'joined');
  const [file = ''] = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));
  expect(statSync(path.join(folder, file)).mode & 0o777).toBe(0o600);
  const own = (JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { token: string }).token;

  expect(processesWith((words) => words.some((word) => word.includes(own) || word.includes(token)))).toEqual([]);
  expect(readFileSync(`/proc/${daemonOf(folderOf('discreet'), id)}/environ`, 'utf8')).not.toContain(token);
  for (const text of [server.log(), readFileSync(logOf('discreet', { id }), 'utf8'), ...joiners.map((joiner) => joiner.said())])
    for (const secret of [own, token]) expect(text).not.toContain(secret);
});

test('a token that was used, has expired or was replaced is refused with the command that makes another', async () => {
  const printed = await helix(home, ['workers', 'enrol', 'once', '--valid-minutes', '5']);
  const { token: used, join: command } = JSON.parse(printed.stdout) as { token: string; join: string };
  expect(command).toBe(`helix worker join ${server.url} --token-stdin`);
  const { id } = await server.client.call('workers.get', { params: { worker: 'once' } });
  join('once', { token: used });
  await whenMoved({ id }, 'up', 0);
  const replaced = await enrol('later');
  await enrol('later');
  const expired = await enrol('slow', { validMs: 1_000 });
  await sleep(1_100);

  const refusals: [string | undefined, string, string][] = [
    [used, 'the enrolment token of worker once was used at', 'helix workers enrol once'],
    [replaced, 'the enrolment token of worker later was replaced by a later one', 'helix workers enrol later'],
    [expired, 'the enrolment token of worker slow expired at', 'helix workers enrol slow'],
    [`hlxe_${'x'.repeat(43)}`, 'this server did not make the enrolment token', 'helix workers enrol <name>'],
    [server.token, 'what came on stdin is not an enrolment token', 'helix workers enrol <name>'],
    [undefined, 'this machine has not joined', 'helix workers enrol <name>'],
  ];
  await Promise.all(
    refusals.map(async ([token, message, next], index) => {
      const joiner = join(`stranger-${index}`, { token });
      expect(await joiner.ended).toBe(4);
      expect(joiner.said()).toContain(message);
      expect(joiner.said()).toContain('(worker.enrolment_refused)');
      expect(joiner.said()).toContain(`next: ${next}`);
    }),
  );
}, 30_000);

test('removing a worker revokes its token at once, and the machine deletes what it had', async () => {
  const { worker, joiner } = await givenJoined('leaver');
  const run = await helix(home, ['workers', 'remove', 'leaver', '--yes']);
  expect(JSON.parse(run.stdout)).toEqual({ removed: worker.id, uninstalled: true });
  expect(await joiner.ended).toBe(4);
  expect(joiner.said()).toContain('worker leaver was removed from the pool');
  expect(readdirSync(folderOf('leaver'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes(worker.id))).toEqual([]);

  // A copy of the machine, from a time when it was a worker.
  const { worker: copied, joiner: original } = await givenJoined('copied');
  await original.kill();
  await server.client.call('workers.remove', { params: { worker: copied.id }, query: { force: true } });
  const late = join('copied');
  expect(await late.ended).toBe(4);
  expect(late.said()).toContain('worker copied was removed from the pool (worker.removed)\nnext: helix workers enrol copied');
  expect(existsSync(path.dirname(logOf('copied', copied)))).toBe(false);

  // A machine that is enrolled anew begins as another worker.
  const { worker: again } = await givenJoined('copied');
  expect(again.id).not.toBe(copied.id);
}, 60_000);

test('a machine enrolled in place of another takes its name, and the other is refused', async () => {
  const { worker, joiner } = await givenJoined('seat');
  await joiner.kill();
  const before = await newestEvent(server.client);
  const tokenFile = path.join(home, 'enrol-token');
  writeFileSync(tokenFile, `${await enrol('seat')}\n`);
  join('seat-2', { env: { HELIX_ENROL_TOKEN_FILE: tokenFile, HELIX_SERVER_URL: url } });
  await whenMoved(worker, 'up', before);
  const old = join('seat');
  expect(await old.ended).toBe(4);
  expect(old.said()).toContain('another machine was enrolled as worker seat in place of this one (worker.removed)');
  expect(daemonOf(folderOf('seat'), worker.id)).toBeUndefined();
}, 30_000);

test('a wrong address says what is wrong with it', async () => {
  const token = await enrol('lost-one');
  const join = async (to: string): Promise<string> => {
    const joiner = startJoiner(to, { folder: folderOf('lost-one'), token });
    joiners.push(joiner);
    await expect.poll(joiner.said, { timeout: 10_000 }).toContain('next: ');
    await joiner.kill();
    return joiner.said();
  };
  expect(await join('helix.example.org')).toContain('helix.example.org is not the URL of a server (cli.bad_usage)');
  expect(await join(`http://127.0.0.1:${await freePort()}`)).toMatch(/no server answers at \S+: nothing listens there; trying again/);
  expect(await join(`${url}/elsewhere`)).toContain('is no HelixCode server that workers dial in to: it answers with status');
  expect(await join(url.replace('http:', 'https:'))).toContain('does not speak TLS as this machine does (server.certificate_refused)');
}, 30_000);

test.skipIf(noOpenssl)('through TLS a certificate must be trusted, and its authority can be named', async () => {
  const file = (name: string): string => path.join(home, name);
  const subject = ['-subj', '/CN=helix', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const output = ['-keyout', file('tls.key'), '-out', file('tls.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject, ...output], {
    stdio: 'ignore',
  });
  const front = createTlsServer({ key: readFileSync(file('tls.key')), cert: readFileSync(file('tls.pem')) }, (near) => {
    const far = connect(Number(environment['HELIX_PORT']), '127.0.0.1');
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void front.close());
  const https = `https://127.0.0.1:${(front.address() as AddressInfo).port}`;
  const token = await enrol('sealed');
  const { id } = await server.client.call('workers.get', { params: { worker: 'sealed' } });

  const distrustful = startJoiner(https, { folder: folderOf('sealed'), token });
  joiners.push(distrustful);
  expect(await distrustful.ended).toBe(7);
  expect(distrustful.said()).toContain(
    `the certificate of ${https} is signed by itself, and this machine does not trust it (server.certificate_refused)`,
  );
  expect(distrustful.said()).toContain(`next: NODE_EXTRA_CA_CERTS=authority.pem helix worker join ${https}`);

  joiners.push(startJoiner(https, { folder: folderOf('sealed'), token, env: { NODE_EXTRA_CA_CERTS: file('tls.pem') } }));
  await whenMoved({ id }, 'up', 0);
});

function logOf(name: string, { id }: Pick<WorkerView, 'id'>): string {
  const run = path.join(folderOf(name), 'run');
  const [host = ''] = existsSync(run) ? readdirSync(run) : [];
  return path.join(run, host, id, 'daemon.log');
}
