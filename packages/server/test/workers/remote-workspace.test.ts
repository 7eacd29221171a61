import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ABSENT, type RunRequest } from '@helixcode/agent/workspace';
import { type AttemptId, newId, type ServerId } from '@helixcode/protocol/ids';
import { createNotifier, openListener } from '@helixcode/server/db/listen';
import { type FleetCalls, openFleetCalls } from '@helixcode/server/fleet/fleet-calls';
import { openWorkspace } from '@helixcode/server/workers/remote-workspace';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import { createWorkspaceAsker } from '@helixcode/server/workers/workspace-asker';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { workspaceSuite } from '../../../agent/test/support/workspace-suite.ts';
import { type GivenSeat, givenCode, givenSeat } from '../support/given-seat.ts';
import { daemonOf, givenWorkerTest, type WorkerTest } from '../support/ssh-workers.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const never = new AbortController().signal;
const hashOf = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');
const textOf = (part: Uint8Array): string => Buffer.from(part).toString();
const order = (command: string, more: Partial<RunRequest> = {}): RunRequest => ({
  command,
  folder: '',
  timeoutMs: 60_000,
  headBytes: 2_000,
  tailBytes: 2_000,
  maxOutputBytes: 64_000_000,
  ...more,
});

let given: WorkerTest;
let worker: WorkerSupervisor;
let code: ReturnType<typeof givenCode>;

beforeAll(async () => {
  given = await givenWorkerTest();
  code = givenCode(given.folder);
  await begin();
});
afterAll(async () => {
  await given.clean();
  await given.end();
});

/** A server that begins; the one before it, if there is one, has ended. */
async function begin(): Promise<void> {
  await given.restart({ workers: { local: true, localSlots: 50 }, services: code.services });
  worker = given.registry.find('local');
  await given.registry.whenState(worker, 'up');
}

const seated = (files: Record<string, string | Uint8Array> = {}): Promise<GivenSeat> =>
  givenSeat({ pool: given.registry, book: given.book, worker, commit: code.commit }, files);

async function leave(attempt: AttemptId): Promise<void> {
  given.registry.cancel(worker.row.id, attempt, 200);
  await given.book.whenComplete(attempt);
}

/** Processes of this machine that carry the mark of a command. */
function processesOf(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HELIX_COMMAND=${mark}`);
    } catch {
      return false;
    }
  });
}

const homeOf = (): string => join(given.folder, 'local', 'local');

/** Kills the daemon, and waits for the one that the server starts in its place. */
async function killDaemon(): Promise<void> {
  const before = daemonOf(homeOf(), worker);
  process.kill(before, 'SIGKILL');
  await until(() => ![before, 0, Number.NaN].includes(daemonOf(homeOf(), worker)));
}

const until = (isTrue: () => boolean): Promise<void> => expect.poll(isTrue, { timeout: 30_000, interval: 10 }).toBe(true);

workspaceSuite('the checkout of a job on a worker', async (files) => {
  const { attempt, workspace } = await seated(files);
  return {
    workspace: workspace.forCall(attempt),
    link: async (path, target) => symlinkSync(target, join(workspace.root, path)),
    [Symbol.asyncDispose]: () => leave(attempt),
  };
});

test('a file of 10 MB goes there and comes back, whole', async () => {
  const { attempt, workspace } = await seated();
  const call = workspace.forCall('c');
  const content = Buffer.alloc(10 * 1024 * 1024, 'äbc\0');
  expect(await call.writeFile('deep/er/large.bin', content, ABSENT)).toBe(hashOf(content));
  const read = await call.readFile('deep/er/large.bin', content.length);
  expect(read.hash).toBe(hashOf(content));
  expect(Buffer.compare(read.bytes, content)).toBe(0);
  await leave(attempt);
});

test('the data of git cannot be changed, by whatever name', async () => {
  const { attempt, workspace } = await seated({ 'sub/a': '' });
  const call = workspace.forCall('c');
  symlinkSync('.git', join(workspace.root, 'innocent'));
  const pointer = readFileSync(join(workspace.root, '.git'));
  for (const path of [
    '.git',
    'innocent',
    '.GIT',
    'sub/.git/hooks/post-checkout',
    '.git/config',
    '../outside',
    'sub/../../outside',
    '/etc/x',
  ]) {
    await expect(call.writeFile(path, Buffer.from('x'), ABSENT)).rejects.toMatchObject({ code: 'workspace.path_refused' });
    await expect(call.writeFile(path, Buffer.from('x'), hashOf(pointer))).rejects.toMatchObject({ code: 'workspace.path_refused' });
    await expect(call.removeFile(path, hashOf(pointer))).rejects.toMatchObject({ code: 'workspace.path_refused' });
    await expect(call.readFile(path, 1_000)).rejects.toMatchObject({ code: 'workspace.path_refused' });
  }
  expect(readFileSync(join(workspace.root, '.git'))).toEqual(pointer);
  await leave(attempt);
});

test('a folder that a command keeps exchanging for a link leads nothing out', async () => {
  const { attempt, workspace } = await seated({ 'd/kept': 'kept' });
  const outside = mkdtempSync(join(given.folder, 'outside-'));
  writeFileSync(join(outside, 'secret'), 'secret');
  const abort = new AbortController();
  const exchange = `touch begun; while :; do mv d e; ln -s '${outside}' d; rm d; mv e d; done`;
  const exchanging = workspace.forCall('x').run(order(exchange), abort.signal);
  const isOver = expect(exchanging).rejects.toThrow();
  await until(() => existsSync(join(workspace.root, 'begun')));
  const call = workspace.forCall('c');
  const tries = await Promise.allSettled(
    Array.from({ length: 200 }, async (_, index) => {
      await Promise.allSettled([call.writeFile(`d/${index}`, Buffer.from('mine'), ABSENT), call.removeFile('d/secret', hashOf('secret'))]);
      return textOf((await call.readFile('d/secret', 10)).bytes);
    }),
  );
  abort.abort();
  await isOver;
  expect(tries.filter(({ status }) => status === 'fulfilled')).toEqual([]);
  expect(readdirSync(outside)).toEqual(['secret']);
  await leave(attempt);
});

test('a write that is asked for again succeeds once more, and changes nothing', async () => {
  const { attempt, workspace } = await seated({ 'a.txt': 'one' });
  const call = workspace.forCall('c');
  const first = await call.writeFile('a.txt', Buffer.from('two'), hashOf('one'));
  expect(await call.writeFile('a.txt', Buffer.from('two'), hashOf('one'))).toBe(first);
  expect(first).toBe(hashOf('two'));
  await leave(attempt);
});

test('a command goes on while its daemon, its link and its server are killed, runs once, and is found again [W7]', async () => {
  const { attempt, workspace } = await seated();
  const command = order('echo x >>count; echo begun; while ! [ -e go ]; do sleep 0.05; done; echo end; exit 3');
  const place = { worker: worker.row.id, attempt, root: workspace.root };

  const asked = workspace.forCall('call_1').run(command, never);
  await until(() => existsSync(join(workspace.root, 'count')));
  expect(await workspace.outcome('call_1.1')).toEqual({ state: 'running' });
  expect(await workspace.outcome('call_1.2')).toEqual({ state: 'never_begun' });

  worker.redial('a test wants it');
  await until(() => given.registry.isConnected(worker.row.id));
  await killDaemon();
  // Asked over the link before, this one learns that its server ends.
  const toldOfEnd = expect(asked).rejects.toMatchObject({ code: 'server.draining' });
  await begin();
  await toldOfEnd;

  const later = await openWorkspace(given.registry, place);
  const attached = later.forCall('call_1').run(command, never);
  expect(await later.outcome('call_1.1')).toEqual({ state: 'running' });
  await killDaemon();
  await later.forCall('other').writeFile('go', Buffer.from(''), ABSENT);

  const result = await attached;
  expect(result).toMatchObject({ ending: 'exited', exitCode: 3 });
  expect(textOf(result.output.head)).toBe('begun\nend\n');
  expect(await later.outcome('call_1.1')).toEqual({ state: 'finished', result });
  expect(await later.forCall('call_1').run(command, never)).toEqual(result);
  expect(readFileSync(join(workspace.root, 'count'), 'utf8')).toBe('x\n');
  await expect(later.forCall('call_1').run(order('true'), never)).rejects.toMatchObject({ code: 'job.spec_differs' });
  await leave(attempt);
});

test('a command that ended while no daemon lived is known by its end', async () => {
  const { attempt, workspace } = await seated();
  const asked = workspace.forCall('c').run(order('echo begun >begun; while ! [ -e go ]; do sleep 0.02; done; touch over; exit 7'), never);
  await until(() => existsSync(join(workspace.root, 'begun')));
  process.kill(daemonOf(homeOf(), worker), 'SIGKILL');
  symlinkSync('begun', join(workspace.root, 'go'));
  expect(await asked).toMatchObject({ ending: 'exited', exitCode: 7 });
  await leave(attempt);
});

test('what a command writes to both streams is kept in order, and 5 MB of it are brought back by their ends', async () => {
  const { attempt, workspace } = await seated();
  const call = workspace.forCall('c');
  const mixed = await call.run(order('for i in 1 2 3; do echo out $i; echo err $i >&2; done'), never);
  expect(textOf(mixed.output.head)).toBe('out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n');
  const large = await call.run(order('head -c 5000000 /dev/zero | tr "\\0" a; printf end'), never);
  expect(large).toMatchObject({ ending: 'exited', exitCode: 0, output: { totalBytes: 5_000_003 } });
  expect(textOf(large.output.head)).toBe('a'.repeat(2_000));
  expect(textOf(large.output.tail)).toBe(`${'a'.repeat(1_997)}end`);
  await leave(attempt);
});

test('a command finds no input, and the environment of its job', async () => {
  const { attempt, workspace } = await seated();
  const result = await workspace.forCall('c').run(order('read line; echo "$? [$line] $OF_THE_SEAT $HELIX_JOB $HELIX_COMMAND"; cat'), never);
  expect(textOf(result.output.head)).toBe(`1 [] yes ${attempt} ${attempt}/c.1\n`);
  await leave(attempt);
});

test('what has to be stopped is stopped with all that it started, and its job goes on', async () => {
  const { attempt, workspace } = await seated();
  const abort = new AbortController();
  const stubborn = `setsid sh -c 'trap "" TERM; while :; do sleep 0.1; done' & nohup sleep 1000 & touch begun; wait; sleep 1000`;
  const asked = workspace.forCall('c').run(order(stubborn), abort.signal);
  await until(() => existsSync(join(workspace.root, 'begun')));
  expect(processesOf(`${attempt}/c.1`).length).toBeGreaterThanOrEqual(3);
  abort.abort();
  await expect(asked).rejects.toThrow();
  expect(processesOf(`${attempt}/c.1`)).toEqual([]);
  expect(await workspace.outcome('c.1')).toMatchObject({ state: 'finished', result: { ending: 'signalled' } });

  expect(await workspace.forCall('d').run(order(`trap '' TERM; sleep 1000; sleep 1000`, { timeoutMs: 100 }), never)).toMatchObject({
    ending: 'timed_out',
  });
  expect(await workspace.forCall('e').run(order('true'), never)).toMatchObject({ ending: 'exited', exitCode: 0 });
  await leave(attempt);
});

test('a search follows what git ignores, globs and folders, and a listing leaves out what was deleted', async () => {
  const { attempt, workspace } = await seated({
    '.gitignore': 'out/\n*.log\n',
    'a.ts': 'const one = 1;\r\nconst two = "ÄÖ 22";\n',
    'src/b.ts': 'ONE\n',
    'src/c d.md': 'one\n',
    'src/x.log': 'one\n',
    'src/deep/e.ts': '-one\n',
    'out/f.ts': 'one\n',
    'gone.txt': 'one\n',
  });
  const call = workspace.forCall('c');
  const prepare = `git add gone.txt && rm gone.txt && mkdir nested && git init -q nested && git config grep.column true &&
    git config core.fsmonitor 'touch fsmonitor-ran; false' && git config core.hooksPath "$PWD/hooks"`;
  expect(await call.run(order(prepare), never)).toMatchObject({ exitCode: 0 });
  symlinkSync('src', join(workspace.root, 'link'));
  const search = async (pattern: string, more: Partial<Parameters<typeof call.search>[0]> = {}): Promise<string[]> => {
    const { matches } = await call.search({ pattern, path: '', ignoreCase: false, maxMatches: 100, ...more });
    return matches.map(({ path, line, text }) => `${path}:${line}:${text}`);
  };
  expect(await search('one')).toEqual(['a.ts:1:const one = 1;', 'src/c d.md:1:one', 'src/deep/e.ts:1:-one']);
  expect(await search('^-?one$', { ignoreCase: true, glob: '*.ts' })).toEqual(['src/b.ts:1:ONE', 'src/deep/e.ts:1:-one']);
  expect(await search('one', { glob: 'src/*.{md,ts}' })).toEqual(['src/c d.md:1:one']);
  expect(await search('one', { path: 'src/deep' })).toEqual(['src/deep/e.ts:1:-one']);
  expect(await search('one', { path: 'link/deep' })).toEqual(['link/deep/e.ts:1:-one']);
  expect(await search('-one', { path: 'src/deep/e.ts' })).toEqual(['src/deep/e.ts:1:-one']);
  expect(await search('(?<=const )\\w+ = "[äö]+ \\d{2}"', { ignoreCase: true })).toEqual(['a.ts:2:const two = "ÄÖ 22";']);
  expect(await search('nowhere')).toEqual([]);
  expect(await search('one', { path: 'not/there' })).toEqual([]);
  const names = async (folder: string, depth: number): Promise<string[]> =>
    (await call.list({ folder, depth, maxEntries: 100 })).entries.map(({ path, kind }) => `${path} ${kind}`);
  expect(await names('', 1)).toEqual(['.gitignore file', 'a.ts file', 'link link', 'nested folder', 'src folder']);
  expect(await names('link', 2)).toEqual(['link/b.ts file', 'link/c d.md file', 'link/deep folder', 'link/deep/e.ts file']);
  await expect(call.list({ folder: 'src/b.ts', depth: 1, maxEntries: 10 })).rejects.toMatchObject({ code: 'workspace.file_missing' });
  expect(await call.treeHash()).toMatch(/^[0-9a-f]{40}$/);
  expect(existsSync(join(workspace.root, 'fsmonitor-ran'))).toBe(false);
  await call.run(order('git config --unset grep.column; git config --unset core.fsmonitor; git config --unset core.hooksPath'), never);
  await leave(attempt);
});

test('a server without the link works through the one that has it, however long a command takes [O2]', async () => {
  const { attempt, workspace } = await seated({ 'a.txt': 'one' });
  const [asking, holding] = [newId('server'), newId('server')];
  const parts = { isWanted: async () => true, onChange: () => {}, refresh: async () => {}, routedTurnMs: 100 };
  await using cleanUp = new AsyncDisposableStack();
  const open = (serverId: ServerId): FleetCalls => {
    const listener = openListener(given.database.url);
    const { db } = given.database;
    const calls = openFleetCalls({
      db,
      serverId,
      listener,
      notifier: createNotifier(db),
      isAlone: () => false,
      log: pino({ level: 'silent' }),
    });
    cleanUp.defer(async () => {
      calls.close();
      await listener.close();
    });
    return calls;
  };
  createWorkspaceAsker({ ...parts, linkOf: () => worker.link, holderOf: () => undefined, isHeld: () => true, others: open(holding) });
  const asker = createWorkspaceAsker({
    ...parts,
    linkOf: () => undefined,
    holderOf: () => holding,
    isHeld: () => false,
    others: open(asking),
  });
  const remote = await openWorkspace({ work: asker.ask }, { worker: worker.row.id, attempt });
  expect(remote.root).toBe(workspace.root);
  const call = remote.forCall('c');

  expect(textOf((await call.readFile('a.txt', 10)).bytes)).toBe('one');
  await expect(call.readFile('b.txt', 10)).rejects.toMatchObject({ code: 'workspace.file_missing' });
  const result = await call.run(order('echo x >>count; sleep 0.5; printf "a\\0b"'), never);
  expect(result).toMatchObject({ ending: 'exited', exitCode: 0 });
  expect(textOf(result.output.head)).toBe('a\0b');
  expect(readFileSync(join(workspace.root, 'count'), 'utf8')).toBe('x\n');
  const abort = new AbortController();
  const asked = call.run(order('touch begun; sleep 1000'), abort.signal);
  await until(() => existsSync(join(workspace.root, 'begun')));
  abort.abort();
  await expect(asked).rejects.toThrow();
  expect(processesOf(`${attempt}/c.2`)).toEqual([]);
  await leave(attempt);
});

test('with its job a command ends, and nothing can be done in the checkout any more', async () => {
  const { attempt, workspace } = await seated();
  const call = workspace.forCall('c');
  const asked = call.run(order('touch begun; while :; do sleep 1; done'), never);
  await until(() => existsSync(join(workspace.root, 'begun')));
  const told = expect(asked).rejects.toMatchObject({ code: 'workspace.gone' });
  await leave(attempt);
  await told;
  await until(() => processesOf(attempt).length === 0);
  await expect(call.readFile('begun', 10)).rejects.toMatchObject({ code: 'workspace.gone' });
  await expect(workspace.outcome('c.1')).rejects.toMatchObject({ code: 'workspace.gone' });
});
