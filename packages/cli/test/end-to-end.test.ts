import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { givenEmptyDatabase } from '../../server/test/support/database.ts';
import { givenCheckout, givenFolder, type Ran, runHelix } from './support.ts';

let home: string;
let env: NodeJS.ProcessEnv;
let database: { url: string; drop(): Promise<void> };

const helix = (args: readonly string[], options: { cwd?: string; stdin?: string } = {}): Promise<Ran> =>
  runHelix(args, { ...options, env });
const json = async (args: readonly string[], cwd?: string): Promise<Record<string, unknown>> => {
  const { stdout } = await helix(['--json', ...args], cwd === undefined ? {} : { cwd });
  return JSON.parse(stdout) as Record<string, unknown>;
};

interface Started {
  /** Resolves once its stdout or stderr says so, or it has ended. */
  says(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  end: Promise<{ status: number | null; said: string }>;
}

function start(args: readonly string[]): Started {
  const program = fileURLToPath(new URL('../bin/helix.js', import.meta.url));
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => void (said += text));
  const end = new Promise<{ status: number | null; said: string }>((resolve) => child.on('close', (status) => resolve({ status, said })));
  return {
    end,
    kill: (signal) => void child.kill(signal),
    async says(text) {
      while (!said.includes(text) && child.exitCode === null)
        await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), end]);
    },
  };
}

beforeAll(async () => {
  database = await givenEmptyDatabase();
  home = mkdtempSync(path.join(tmpdir(), 'helix-cli-home-'));
  env = { HELIX_HOME: home, HELIX_PORT: '0', DATABASE_URL: database.url, HELIX_WORKERS_LOCAL_SLOTS: '2' };
  const up = await helix(['up']);
  expect(up, up.stderr).toMatchObject({ status: 0, stdout: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\n$/) });
}, 60_000);

afterAll(async () => {
  const down = await helix(['down', '--workers']);
  expect(down, down.stderr).toMatchObject({ status: 0 });
  await database.drop();
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}, 60_000);

test('a server that runs already is left as it is, and a second one on its port is refused', async () => {
  const first = await json(['up']);
  expect(first).toMatchObject({ started: false, tokenFile: path.join(home, 'owner-token') });
  expect(await json(['status'])).toMatchObject({ url: first.url, database: 'external' });
  const other = await givenEmptyDatabase();
  onTestFinished(() => other.drop());
  const refused = await runHelix(['up', '--home', givenFolder(), '--port', new URL(String(first.url)).port], {
    env: { ...env, DATABASE_URL: other.url },
  });
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('server.port_in_use') });
});

test('a command runs on a worker, its output comes through, and its failure is exit 5 or its own status', async () => {
  const good = await helix(['exec', '--on', 'local', '--', 'printf', '%s|', 'a b', "it's", '']);
  expect(good).toEqual({ status: 0, stdout: "a b|it's||", stderr: '' });
  const bad = await helix(['exec', '--env', 'NAME=ada', '--', 'echo "hello $NAME"; echo oh >&2; exit 7']);
  expect(bad).toMatchObject({
    status: 5,
    stdout: 'hello ada\n',
    stderr: expect.stringMatching(/^oh\n.*job\.command_failed.*\nnext: helix tasks logs tsk_/s),
  });
  expect(await helix(['exec', '--exit-code', '--', 'exit 7'])).toEqual({ status: 7, stdout: '', stderr: '' });
});

test('output of many megabytes comes through whole, and bytes are not taken for text', async () => {
  const { status, stdout } = await helix(['exec', '--', "seq 1 400000; printf '\\377\\n'"]);
  expect(status).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(400_001);
  expect(lines[399_999]).toBe('400000');
});

test('a task that no worker can take says for what it waits, and a wait that ends is exit 6', async () => {
  const { status, stderr } = await helix(['exec', '--requires', 'unicorn', '--wait', '4', '--', 'true']);
  expect(status).toBe(6);
  expect(stderr).toContain('waiting: true: no worker has unicorn');
  const id = /task (tsk_\w+) is not over after 4 s/.exec(stderr)?.[1] ?? '';
  expect(await helix(['tasks', 'list', '--state', 'pending'])).toMatchObject({ stdout: expect.stringContaining(`${id}\tpending\tshell`) });
  expect(await helix(['tasks', 'cancel', id])).toMatchObject({ status: 0 });
  expect(await json(['tasks', 'show', id])).toMatchObject({ state: 'cancelled' });
});

test('Ctrl-C leaves the task alone and says how to come back; twice cancels it', async () => {
  const first = start(['exec', '--', 'echo begun; exec sleep 60']);
  await first.says('begun');
  first.kill('SIGINT');
  const { status, said } = await first.end;
  expect(status).toBe(130);
  const id = /helix tasks show (tsk_\w+) --follow/.exec(said)?.[1] ?? '';
  expect(await json(['tasks', 'show', id])).toMatchObject({ state: 'running' });

  const reading = start(['tasks', 'logs', id, '--follow']);
  await reading.says('begun');
  reading.kill('SIGINT');
  expect((await reading.end).status).toBe(130);
  await helix(['tasks', 'cancel', id]);

  const second = start(['exec', '--', 'echo begun; exec sleep 60']);
  await second.says('begun');
  second.kill('SIGINT');
  await second.says('detaching');
  second.kill('SIGINT');
  expect(await second.end).toMatchObject({ status: 3, said: expect.stringContaining('cancelling task tsk_') });
}, 30_000);

test('what a command line says of tries, silence and time is the policy of its task [T5]', async () => {
  const tried = await json(['exec', '--max-attempts', '2', '--backoff', '10ms', '--', 'exit 3']);
  expect(tried).toMatchObject({ state: 'failed', attempts: [{ exitCode: 3 }, { exitCode: 3 }] });
  const late = await helix(['exec', '--deadline', '500ms', '--', 'sleep', '60']);
  expect(late).toMatchObject({ status: 5, stderr: expect.stringContaining('task.deadline_passed') });
  const slow = await helix(['exec', '--timeout', '200ms', '--', 'sleep', '60']);
  expect(slow).toMatchObject({ status: 5, stderr: expect.stringContaining('job.timed_out') });
}, 30_000);

const passing = "import { test } from 'node:test'; test('passes', () => {});\n";
const failing = "import { test } from 'node:test'; import assert from 'node:assert';\ntest('adds up', () => assert.equal(1 + 1, 3));\n";

test('helix test runs the working tree as it is, and tells what failed and where', async () => {
  const checkout = givenCheckout();
  checkout.write({
    'package.json': '{ "name": "sample", "type": "module", "scripts": { "test": "node --test" } }',
    'test/a.test.js': passing,
    'test/with space.test.js': passing,
    'test/ünï.test.js': passing,
  });
  checkout.commitAll();
  const status = checkout.git('status', '--porcelain');
  const good = await helix(['test'], { cwd: checkout.folder });
  expect(good, good.stderr).toMatchObject({ status: 0, stdout: expect.stringContaining('3 passed  (3 tests in 3 files, node-test)') });
  expect(checkout.git('status', '--porcelain')).toBe(status);

  checkout.write({ 'test/new.test.js': failing });
  const bad = await helix(['test', '--junit', 'report.xml'], { cwd: checkout.folder });
  expect(bad, bad.stderr).toMatchObject({
    status: 5,
    stdout: expect.stringMatching(/✘ adds up {2}test\/new\.test\.js:2\n.*✘ 1 failed, 3 passed/s),
    stderr: expect.stringContaining('sent the working tree'),
  });
  expect(readFileSync(path.join(checkout.folder, 'report.xml'), 'utf8')).toContain('adds up');

  const one = await helix(['--json', 'test', 'with space'], { cwd: path.join(checkout.folder, 'test') });
  expect(JSON.parse(one.stdout)).toMatchObject({ state: 'completed', report: { totals: { units: 1, passed: 1 } } });
  const none = await helix(['test', 'nowhere'], { cwd: checkout.folder });
  expect(none).toMatchObject({ status: 5, stderr: expect.stringContaining('test.none_found') });
  expect(await json(['projects', 'list'])).toMatchObject({ items: [{ name: path.basename(checkout.folder) }] });
}, 60_000);

test('two clones of one origin are one project, and what the first sent the second does not send again', async () => {
  const checkout = givenCheckout();
  checkout.write({ 'a.txt': 'a' });
  checkout.commitAll();
  checkout.git('remote', 'add', 'origin', 'git@code.example.org:team/web.git');
  const run = (cwd: string): Promise<Ran> => helix(['exec', '--checkout', '--', 'cat a.txt'], { cwd });
  expect(await run(checkout.folder)).toMatchObject({ status: 0, stdout: 'a', stderr: expect.stringContaining('sent commit') });

  const clone = path.join(givenFolder(), 'other');
  checkout.git('clone', '--quiet', checkout.folder, clone);
  const second = givenCheckout(clone);
  second.git('remote', 'set-url', 'origin', 'https://code.example.org/team/web');
  expect(await run(clone)).toMatchObject({ status: 0, stdout: 'a', stderr: expect.stringContaining('the server has commit') });
  expect(JSON.stringify(await json(['projects', 'list']))).toContain('"code.example.org/team/web"');
}, 30_000);

test('targets are built with what they need, found again when nothing changed, and their outputs brought home', async () => {
  const { folder, write, commitAll } = givenCheckout();
  write({
    'src/a.txt': 'a',
    'helix.json': JSON.stringify({
      tools: {
        build: [
          { name: 'lib', command: 'mkdir -p lib && tr a-z A-Z < src/a.txt > lib/a.txt', inputs: ['src/**'], outputs: ['lib/**'] },
          {
            name: 'app',
            command: 'mkdir -p app && cat lib/a.txt lib/a.txt > app/aa.txt',
            inputs: ['src/**'],
            outputs: ['app/**'],
            needs: ['lib'],
          },
        ],
      },
    }),
  });
  commitAll();
  const dist = givenFolder();
  const first = await helix(['build', '--out', dist, 'app'], { cwd: folder });
  expect(first, first.stderr).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^lib\tcompleted\tbuilt in .*\napp\tcompleted\tbuilt in .*\t.*app\.tar\.zst\n$/),
  });
  expect(readdirSync(dist)).toEqual(['app.tar.zst']);
  const second = await helix(['build', 'app'], { cwd: folder });
  expect(second.stdout).toBe('lib\tcompleted\tunchanged: from the cache\t\napp\tcompleted\tunchanged: from the cache\t\n');
  expect(await helix(['build', 'ap'], { cwd: folder })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('there is no target ap; did you mean app?'),
  });
}, 60_000);

test('a wrong helix.json stops before anything is sent', async () => {
  const { folder, write, commitAll } = givenCheckout();
  write({ 'helix.json': '{ "tools": { "test": { "runer": "vitest" } } }' });
  commitAll();
  expect(await helix(['test'], { cwd: folder })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('tools.test has no key runer; did you mean runner?'),
  });
  expect(await helix(['test'], { cwd: givenFolder() })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('cli.not_a_repository'),
  });
});

test('workers are added, drained, opened and removed; what cannot be done names the next command', async () => {
  const added = await helix(['workers', 'add', '--local', 'second', '--slots', '1', '--label', 'spare']);
  expect(added, added.stderr).toMatchObject({ status: 0, stdout: 'second\n' });
  expect(await helix(['workers', 'add', '--local', 'second'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('worker.exists'),
  });
  expect(await helix(['exec', '--requires', 'spare', '--', 'true'])).toMatchObject({ status: 0 });
  await helix(['workers', 'drain', 'second']);
  expect(await json(['workers', 'show', 'second'])).toMatchObject({ admission: 'draining', slots: 1 });
  await helix(['workers', 'open', 'second']);
  expect(await helix(['workers', 'list'])).toMatchObject({ stdout: expect.stringMatching(/^second\tup\t0\/1\t/m) });
  expect(await helix(['workers', 'remove', 'second'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('next: helix workers remove second --yes'),
  });
  expect(await helix(['workers', 'remove', 'second', '--yes'])).toMatchObject({ status: 0 });
  expect(await helix(['workers', 'show', 'second'])).toMatchObject({ status: 2, stderr: expect.stringContaining('worker.not_found') });

  const dead = await helix(['workers', 'add', 'nobody@127.0.0.1:1', '--name', 'dead']);
  expect(dead).toMatchObject({ status: 1, stderr: expect.stringContaining('worker.unreachable') });
  expect(await helix(['workers', 'remove', 'dead', '--yes', '--force'])).toMatchObject({ status: 0 });
}, 60_000);

test('events are told from the beginning, as lines, as JSON lines and as one document', async () => {
  const lines = await helix(['events', '--after', '0', '--no-follow', '--topic', 'workers']);
  expect(lines.stdout).toMatch(/^\d+\t\S+\tworker\.added\twrk_\w+\tlocal \(local\)\n/);
  const jsonl = await helix(['events', '--after', '0', '--no-follow', '--topic', 'workers', '--jsonl']);
  const document = (await json(['events', '--after', '0', '--no-follow', '--topic', 'workers'])).items;
  expect(
    jsonl.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(document);
  const live = start(['events', '--topic', 'projects', '--after', '0']);
  await live.says('project.added');
  live.kill('SIGINT');
  expect((await live.end).status).toBe(0);
});

test('the configuration in force is shown with the origin of each value', async () => {
  const { stdout } = await helix(['config', 'show']);
  expect(stdout).toContain('workers.localSlots\t2\tenvironment HELIX_WORKERS_LOCAL_SLOTS\n');
  expect(stdout).toContain('workers.dialAtOnce\t8\tdefault\n');
  writeFileSync(path.join(home, 'helix.json'), '{ "clients": { "prot": 1 } }');
  expect(await helix(['config', 'check', path.join(home, 'helix.json')])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('did you mean port?'),
  });
  rmSync(path.join(home, 'helix.json'));
});
