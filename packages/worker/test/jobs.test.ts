import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { JobFolder } from '../src/jobs/job-folder.ts';
import { processesOf } from '../src/jobs/process-table.ts';
import { attempts, givenWorker } from './support/given-worker.ts';
import { textOf } from './support/test-server.ts';

test('a command runs with a clean environment, its output and its exit status come back', async () => {
  const [one] = attempts();
  const worker = givenWorker({ environment: { HELIX_ANYTHING: 'leaks', SOME_VARIABLE: 'of the daemon' } });
  const server = await worker.connect();
  server.assign(
    one,
    { command: 'env; echo to stderr >&2; echo left >"$HELIX_OUTPUT_DIR/a b.txt"; exit 7', env: { GREETING: 'it\'s\n"fine" $HOME' } },
    { TOKEN: 's3cret' },
  );

  const report = await server.over(one);

  expect(report).toMatchObject({ state: 'exited', exitCode: 7, wallMs: expect.any(Number), cpuMs: expect.any(Number) });
  expect(Object.keys(report.streams).sort()).toEqual(['err', 'file:a b.txt', 'out']);
  expect(Buffer.from(report.inline?.['err'] ?? '', 'base64').toString()).toBe('to stderr\n');
  expect(await server.read(one, 'err')).toBe('to stderr\n');
  expect(await server.read(one, 'file:a b.txt')).toBe('left\n');
  const environment = await server.read(one, 'out');
  expect(environment).toContain('GREETING=it\'s\n"fine" $HOME\n');
  expect(environment).toContain('TOKEN=s3cret\n');
  expect(environment).toContain(`HELIX_JOB=${one}`);
  expect(environment).not.toContain('leaks');
  expect(environment).not.toContain('SOME_VARIABLE');
  expect(environment).not.toMatch(/hx_|node_modules/);
  expect(existsSync(/^TMPDIR=(.*)$/m.exec(environment)?.[1] ?? '')).toBe(true);
});

test('a secret is nowhere on the disk', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'test ${#TOKEN} = 6' }, { TOKEN: 's3cret' });
  expect(await server.over(one)).toMatchObject({ state: 'exited', exitCode: 0 });
  for (const file of readdirSync(worker.home, { recursive: true, withFileTypes: true }))
    if (file.isFile()) expect(readFileSync(join(file.parentPath, file.name), 'latin1')).not.toContain('s3cret');
});

test('every byte comes once and the exit status stays, with the daemon killed three times and the link cut', {
  timeout: 30_000,
}, async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const lines = 3_000;
  let server = await worker.connect();
  server.assign(one, {
    command: `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "line $i"; echo "error $i" >&2; [ $((i % 10)) = 0 ] && sleep 0.01; done; exit 7`,
  });
  const gathered = { out: '', err: '' };
  for (let cut = 0; ; cut++) {
    const streams = { out: server.open(one, 'out', gathered.out.length), err: server.open(one, 'err', gathered.err.length) };
    if (cut < 4) await server.until(() => streams.out.received > (cut + 1) * 5_000);
    else await server.until(() => streams.out.isEnded && streams.err.isEnded);
    gathered.out += textOf(streams.out);
    gathered.err += textOf(streams.err);
    if (cut === 4) break;
    if (cut < 3) await worker.killDaemon();
    server.close();
    server = await worker.connect();
  }
  expect(await server.over(one)).toMatchObject({
    state: 'exited',
    exitCode: 7,
    streams: { out: gathered.out.length, err: gathered.err.length },
  });
  const numbered = (word: string): string => Array.from({ length: lines }, (_, i) => `${word} ${i + 1}\n`).join('');
  expect(gathered.out).toBe(numbered('line'));
  expect(gathered.err).toBe(numbered('error'));
});

test('a job that ended while no daemon ran is reported by the next one', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'while [ ! -e "$HELIX_OUTPUT_DIR/go" ]; do sleep 0.01; done; echo done; exit 3' });
  await server.reported(one, (report) => report.state === 'running');
  await worker.killDaemon();
  writeFileSync(join(worker.jobFolder(one), 'files', 'go'), '');
  while (!/^rc \d+\n/m.test(readFileSync(join(worker.jobFolder(one), 'rc'), 'utf8')))
    await new Promise((resolve) => setTimeout(resolve, 5));

  const next = await worker.connect();

  expect(next.welcome.jobs).toMatchObject([{ attempt: one, state: 'exited', exitCode: 3 }]);
  expect(await next.read(one, 'out')).toBe('done\n');
});

test('cancel reaches a child that left the session and one that ignores TERM, and the job ends as cancelled', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, {
    command: `setsid sh -c 'echo escaped; exec sleep 300' & sh -c 'trap "" TERM; echo immune; while :; do sleep 0.1; done' & wait; wait`,
  });
  const out = server.open(one, 'out');
  await server.until(() => textOf(out).includes('escaped') && textOf(out).includes('immune'));
  expect(processesOf(one, undefined).length).toBeGreaterThanOrEqual(3);

  server.send({ t: 'cancel', attempt: one, graceMs: 200 });
  server.send({ t: 'cancel', attempt: one, graceMs: 200 });

  expect(await server.over(one)).toMatchObject({ state: 'cancelled', reason: { code: 'task.cancelled' } });
  await expect.poll(() => processesOf(one, undefined)).toEqual([]);
});

test('a command gets signals as from a terminal: INT is not ignored, and it leads its own group', async () => {
  const [one, two] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: "sh -c 'kill -INT $$'; echo $?; kill 0; echo not reached" });
  server.assign(two, { command: 'sleep 0.3; echo still here' });
  expect(await server.over(one)).toMatchObject({ state: 'exited', exitCode: 143 });
  expect(await server.read(one, 'out')).toBe('130\n');
  expect(await server.read(two, 'out')).toBe('still here\n');
});

test('a job over its time is stopped and says which limit it was, also after a restart of the daemon', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'sleep 300', timeoutMs: 1_000, killGraceMs: 100 });
  await server.reported(one, (report) => report.state === 'running');
  await worker.killDaemon();
  const next = await worker.connect();
  expect(await next.over(one)).toMatchObject({
    state: 'exited',
    exitCode: 143,
    reason: { code: 'job.timed_out', details: { timeoutMs: 1_000 } },
  });
  expect((await next.over(one)).wallMs).toBeLessThan(3_000);
});

test('a job that has just begun is not over its time, also when its supervisor has not written its line yet', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const folder = new JobFolder(join(worker.runFolder, 'jobs'), one);
  mkdirSync(join(worker.runFolder, 'jobs'), { mode: 0o700 });
  // With a secret it waits for the server, so that nobody but the test begins it.
  const spec = { command: 'true', env: {}, timeoutMs: 300_000, killGraceMs: 100, outputLimitBytes: 1_000 };
  folder.create({ spec, secretNames: ['TOKEN'] });
  const server = await worker.connect();
  const start = join(folder.path, 'start.new');
  writeFileSync(start, '');
  // However slow this machine is: a line that is missing for seconds will never come.
  utimesSync(start, new Date(), new Date(Date.now() + 60_000));
  renameSync(start, join(folder.path, 'start'));
  expect((await server.reported(one, (report) => report.state === 'running')).wallMs).toBeLessThan(60_000);
  writeFileSync(join(folder.path, 'rc'), '0m0.00s 0m0.00s\n0m0.00s 0m0.00s\nrc 0\n');
  const report = await server.over(one);
  expect(report).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(report.reason).toBeUndefined();
  expect(report.wallMs).toBeLessThan(60_000);
});

test('a job that writes more than its limit is stopped, and the server gets exactly the limit', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'yes', outputLimitBytes: 100_000, killGraceMs: 100 });
  expect(await server.over(one)).toMatchObject({ state: 'exited', reason: { code: 'output.too_large' }, streams: { out: 100_000 } });
  expect(await server.read(one, 'out')).toHaveLength(100_000);
});

test('the same assignment again is answered with the state, a different one is a fault, and forget deletes', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'echo once >>"$HELIX_OUTPUT_DIR/ran"; sleep 0.2; exit 3' });
  server.assign(one, { command: 'echo once >>"$HELIX_OUTPUT_DIR/ran"; sleep 0.2; exit 3' });
  server.send({ t: 'forget', attempt: one });
  expect(await server.hears('fault')).toMatchObject({ code: 'worker.busy', attempt: one });
  await server.over(one);
  server.assign(one, { command: 'echo other' });
  await server.until(() => server.heard.some((message) => message.t === 'fault' && message.code === 'job.spec_differs'));
  expect(await server.read(one, 'file:ran')).toBe('once\n');

  server.send({ t: 'forget', attempt: one });
  server.send({ t: 'forget', attempt: one });
  server.send({ t: 'cancel', attempt: one, graceMs: 0 });
  await server.reported(one, (report) => report.state === 'cancelled');
  await expect.poll(() => existsSync(worker.jobFolder(one))).toBe(false);
});

test('a forgotten job that left nothing goes from the disk once nothing runs; assigned again before that, it begins afresh', async () => {
  const [one, two] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(two, { command: 'sleep 300' });
  server.assign(one, { command: 'echo first' });
  expect(await server.over(one)).toMatchObject({ exitCode: 0 });
  server.send({ t: 'forget', attempt: one });
  server.assign(one, { command: 'exit 4' });
  await server.reported(one, (report) => report.state === 'exited' && report.exitCode === 4);

  server.send({ t: 'forget', attempt: one });
  server.send({ t: 'cancel', attempt: two, graceMs: 0 });
  await server.reported(two, (report) => report.state === 'cancelled');
  await expect.poll(() => existsSync(worker.jobFolder(one))).toBe(false);
});

test('of a job that is being deleted its own folder goes last, so that whoever is cut off can be followed up', async () => {
  const [one] = attempts();
  const jobs = mkdtempSync(join(tmpdir(), 'helix-jobs-'));
  onTestFinished(() => rmSync(jobs, { recursive: true, force: true }));
  const folder = new JobFolder(jobs, one);
  folder.create({ spec: { command: 'true', env: {}, killGraceMs: 0, outputLimitBytes: 0 }, secretNames: [] });
  for (let n = 0; n < 200; n++) writeFileSync(join(folder.tmpFolder, `${n}`), '');
  const removal = folder.remove();
  for (let isThere = true; isThere; ) {
    await new Promise((resolve) => setImmediate(resolve));
    // Asked in this order: it may be deleted between the two.
    const hasOwn = existsSync(folder.path);
    isThere = existsSync(folder.tmpFolder);
    if (isThere) expect(hasOwn).toBe(true);
  }
  await removal;
  expect(existsSync(folder.path)).toBe(false);
});

test('after a reboot a running job is lost, and what it wrote is kept', async () => {
  const [one] = attempts();
  const worker = givenWorker({ environment: { HELIX_BOOT_ID: 'first' } });
  const server = await worker.connect();
  server.assign(one, { command: 'echo partial; sleep 300' });
  const out = server.open(one, 'out');
  await server.until(() => textOf(out) === 'partial\n');
  await worker.killDaemon();
  process.kill(Number(readFileSync(join(worker.jobFolder(one), 'start'), 'utf8').split(' ')[0]), 'SIGKILL');
  for (const pid of processesOf(one, undefined)) process.kill(pid, 'SIGKILL');
  worker.environment['HELIX_BOOT_ID'] = 'second';

  const next = await worker.connect();

  expect(next.welcome.facts.bootId).toBe('second');
  expect(next.welcome.jobs).toMatchObject([{ state: 'lost', reason: { code: 'job.lost', details: { cause: 'reboot' } } }]);
  expect(await next.read(one, 'out')).toBe('partial\n');
});

test('a job whose supervisor was killed is lost, and cancel ends what it left', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'sleep 300' });
  await server.reported(one, (report) => report.state === 'running');
  await expect.poll(() => processesOf(one, undefined).length).toBeGreaterThan(0);
  process.kill(Number(readFileSync(join(worker.jobFolder(one), 'start'), 'utf8').split(' ')[0]), 'SIGKILL');
  expect(await server.over(one)).toMatchObject({ state: 'lost', reason: { code: 'job.lost', details: { cause: 'supervisor_gone' } } });
  server.send({ t: 'cancel', attempt: one, graceMs: 0 });
  await expect.poll(() => processesOf(one, undefined)).toEqual([]);
});

test('a server that does not acknowledge gets exactly the window, and then the rest', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect({ acks: false });
  server.assign(one, { command: 'head -c 5000000 /dev/zero' });
  await server.over(one);
  const out = server.open(one, 'out');
  await server.until(() => out.received >= 1024 * 1024);
  server.send({ t: 'ping', at: 1 });
  await server.hears('pong');
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(out.received).toBe(1024 * 1024);
  server.acks = true;
  server.send({ t: 'ack', ch: 2, upto: out.received });
  await server.until(() => out.isEnded);
  expect(out.received).toBe(5_000_000);
});

test('acknowledged output gives its disk space back, and what was given back is refused', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'head -c 60000000 /dev/urandom' });
  await server.over(one);
  const out = server.open(one, 'out');
  await server.until(() => out.isEnded);
  expect(out.received).toBe(60_000_000);
  const onDiskBytes = (): number => statSync(join(worker.jobFolder(one), 'out')).blocks * 512;
  await expect.poll(onDiskBytes).toBeLessThan(20_000_000);
  await expect(server.read(one, 'out')).rejects.toThrow('gone');
});

test('only regular files below the output folder can be read', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, {
    command: 'cd "$HELIX_OUTPUT_DIR"; ln -s /etc/passwd link; ln -s / root; mkdir -p d; printf x >"d/new\nline ä.txt"; printf y >"-dash"',
  });
  const report = await server.over(one);
  expect(Object.keys(report.streams).sort()).toEqual(['err', 'file:-dash', 'file:d/new\nline ä.txt', 'out']);
  expect(await server.read(one, 'file:d/new\nline ä.txt')).toBe('x');
  for (const stream of ['file:link', 'file:root/etc/passwd', 'file:../spec.json', 'file:/etc/passwd', 'file:none', 'spec.json'])
    await expect(server.read(one, stream)).rejects.toThrow('absent');
});

test('a command may be longer than what a program takes as one argument', async () => {
  const [one] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: `: ${'x'.repeat(300_000)}\necho "$HELIX_JOB"` });
  await server.over(one);
  expect(await server.read(one, 'out')).toBe(`${one}\n`);
});

test('a job that cannot start as asked is refused with the reason', async () => {
  const [one, two, three] = attempts();
  const worker = givenWorker();
  const server = await worker.connect();
  server.assign(one, { command: 'true', cwd: 'no/such' });
  server.assign(two, { command: 'true', env: { 'not-a-name': '1' } });
  server.assign(three, { command: 'true', cwd: '../../../..' });
  expect(await server.over(one)).toMatchObject({
    state: 'refused',
    reason: { code: 'job.start_failed', message: expect.stringContaining('no/such') },
  });
  expect(await server.over(two)).toMatchObject({ state: 'refused', reason: { message: expect.stringContaining('not-a-name') } });
  expect(await server.over(three)).toMatchObject({ state: 'refused', reason: { message: expect.stringContaining('outside') } });
});
