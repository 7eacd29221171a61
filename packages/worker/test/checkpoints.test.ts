import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { givenRepository } from './support/given-repository.ts';
import { attempts, type GivenWorker, givenWorker } from './support/given-worker.ts';
import type { TestServer } from './support/test-server.ts';

const project = 'prj_1';
const limits = { maxFileBytes: 10_000, maxBytes: 30_000, maxMs: 20_000 };

const treeOf = (worker: GivenWorker): string => join(worker.runFolder, 'trees', project, '1');

/** Waits until the running job has printed `ready`. */
async function isReady(server: TestServer, attempt: string): Promise<void> {
  await server.reported(attempt, ({ state }) => state === 'running');
  const out = server.open(attempt, 'out');
  await server.until(() => Buffer.concat(out.chunks).includes('ready'));
}

async function asked(server: TestServer, attempt: string, request: string): Promise<TestServer['checkpoints'][number]> {
  server.send({ t: 'checkpoint', attempt, request, limits: { ...limits, maxBytes: 1_000_000 } });
  await server.until(() => server.checkpoints.some((checkpoint) => checkpoint.request === request));
  return server.checkpoints.find((checkpoint) => checkpoint.request === request) as TestServer['checkpoints'][number];
}

test('a checkpoint records what the job did to its files, names what it left out, and the job does not notice', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({
    '.gitignore': 'ignored\n',
    'same.txt': 'same',
    'old.txt': 'old',
    'kept.txt': 'a',
    'sub/deep.txt': 'd',
    'grows.txt': 'small',
    'to-folder': 'file',
  });
  const [one] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, {
    command: `echo changed >kept.txt; rm old.txt; echo new >'sp ace \n*.txt'; mkdir -p new/dir; echo n >new/dir/n; echo no >ignored
      head -c 20000 /dev/zero >grows.txt; head -c 20001 /dev/zero >big.bin; rm to-folder; mkdir to-folder; echo in >to-folder/in; ln -s kept.txt link
      git init -q nested; echo staged >staged.txt; git add staged.txt; git status --porcelain >"$HELIX_OUTPUT_DIR/before"; echo ready
      while ! [ -e ignored.go ]; do sleep 0.02; done; rm ignored.go; git status --porcelain >"$HELIX_OUTPUT_DIR/after"; git rev-parse HEAD`,
    workspace: { project, commit },
  });
  await isReady(server, one);
  const taken = await asked(server, one, 'r1');
  expect(taken).toMatchObject({ cause: 'asked', attempt: one, leftOutCount: 3 });
  expect(taken.leftOut).toEqual(
    expect.arrayContaining([
      { path: 'grows.txt', bytes: 20_000, why: 'too_large' },
      { path: 'big.bin', bytes: 20_001, why: 'too_large' },
      { path: 'nested/', bytes: 0, why: 'repository' },
    ]),
  );
  writeFileSync(join(treeOf(worker), 'ignored.go'), '');
  expect(await server.over(one)).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(await server.read(one, 'file:after')).toBe(await server.read(one, 'file:before'));

  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', repository.path, '-c', 'core.quotePath=false', ...args], { encoding: 'utf8' });
  expect(git('rev-parse', `${taken.commit}^`).trim()).toBe(commit);
  expect(git('diff', '--name-status', '--no-renames', '-z', commit, taken.commit).split('\0').join(' ').trim()).toBe(
    'M kept.txt A link A new/dir/n D old.txt A sp ace \n*.txt A staged.txt D to-folder A to-folder/in',
  );
  expect(taken.files).toBe(8);

  const elsewhere = givenWorker();
  const [again] = attempts();
  const other = await elsewhere.connect();
  other.repository = repository.path;
  other.assign(again, {
    command:
      'git rev-parse HEAD; git status --porcelain --no-renames -z | tr "\\0" "|"; cat kept.txt new/dir/n to-folder/in link grows.txt; ls -A',
    workspace: { project, commit, restore: { number: 1, commit: taken.commit } },
  });
  expect(await other.over(again)).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(await other.read(again, 'out')).toBe(
    `${commit}\n M kept.txt| D old.txt| D to-folder|?? link|?? new/|?? sp ace \n*.txt|?? staged.txt|changed\nn\nin\nchanged\nsmall${[
      '.git',
      '.gitignore',
      'grows.txt',
      'kept.txt',
      'link',
      'new',
      'same.txt',
      'sp ace ',
      '*.txt',
      'staged.txt',
      'sub',
      'to-folder',
      '',
    ].join('\n')}`,
  );
});

test('commits that the job made are below its checkpoint, and a restored checkout stands on them', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one, two] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  const as = 'git -c user.name=j -c user.email=j@example.com';
  server.assign(one, {
    command: `echo b >b.txt; git add b.txt; ${as} commit -qm own; echo c >c.txt; echo ready; sleep 60`,
    workspace: { project, commit },
  });
  await isReady(server, one);
  const taken = await asked(server, one, 'r1');
  server.send({ t: 'cancel', attempt: one, graceMs: 0 });
  await server.over(one);
  server.assign(two, {
    command: 'git log --format=%s -1; git rev-parse HEAD~1; git status --porcelain',
    workspace: { project, commit, restore: { number: 1, commit: taken.commit } },
  });
  expect(await server.over(two)).toMatchObject({ state: 'exited' });
  expect(await server.read(two, 'out')).toContain('own\n');
  expect(await server.read(two, 'out')).toContain('?? c.txt\n');
});

test('what a job that ended badly left is recorded before its end is told', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one, two] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, { command: 'echo half >half.txt; exit 3', workspace: { project, commit }, checkpoint: { limits } });
  expect(await server.over(one)).toMatchObject({ state: 'exited', exitCode: 3 });
  expect(server.checkpoints).toMatchObject([{ cause: 'end', files: 1 }]);
  server.assign(two, { command: 'echo whole >whole.txt', workspace: { project, commit }, checkpoint: { limits } });
  expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(server.checkpoints).toHaveLength(1);
});

test('the clock records a job again only after it changed something', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, {
    command: 'echo 1 >n; while ! [ -e go ]; do sleep 0.02; done; rm go; echo 2 >n; sleep 60',
    workspace: { project, commit },
    checkpoint: { everyMs: 100, limits },
  });
  await server.until(() => server.checkpoints.length === 1);
  writeFileSync(join(treeOf(worker), 'go'), '');
  const git = (...args: string[]): string => execFileSync('git', ['-C', repository.path, ...args], { encoding: 'utf8' });
  await server.until(() => server.checkpoints.some((checkpoint) => git('show', `${checkpoint.commit}:n`) === '2\n'));
  const hashes = server.checkpoints.map((checkpoint) => git('rev-parse', `${checkpoint.commit}^{tree}`));
  expect(new Set(hashes).size).toBe(hashes.length);
  expect(server.checkpoints.every((checkpoint) => checkpoint.cause === 'interval')).toBe(true);
});

test('a job without a checkout cannot be recorded, and says so', async () => {
  const worker = givenWorker();
  const [one] = attempts();
  const server = await worker.connect();
  server.assign(one, { command: 'echo ready; sleep 60' });
  await isReady(server, one);
  server.send({ t: 'checkpoint', attempt: one, request: 'r1', limits });
  expect(await server.hears('unrecorded')).toMatchObject({ attempt: one, request: 'r1', code: 'checkpoint.refused' });
});

test('a worker that hears nothing of the server for long enough stops the job itself, and never calls that an end', async () => {
  const worker = givenWorker();
  const [one, two] = attempts();
  const server = await worker.connect();
  server.assign(one, { command: 'echo ready; sleep 600', stopWithoutServerMs: 500 });
  server.assign(two, { command: 'echo ready; sleep 2; exit 4' });
  await isReady(server, one);
  server.close();
  const rc = join(worker.jobFolder(one), 'rc');
  while (!existsSync(rc)) await new Promise((resolve) => setTimeout(resolve, 20));
  const again = await worker.connect();
  expect(await again.over(one)).toMatchObject({
    state: 'lost',
    reason: { code: 'job.lost', message: expect.stringContaining('heard nothing of the server') },
  });
  expect(await again.over(two)).toMatchObject({ state: 'exited', exitCode: 4 });
});

test('a snapshot of 10,000 files of which 20 changed is far below a megabyte', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const files: Record<string, string> = {};
  for (let n = 0; n < 10_000; n++) files[`d${n % 100}/f${n}.txt`] = `${n}\n`.repeat(40);
  const commit = repository.commit(files);
  const [one] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, {
    command: 'for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do seq 1 300 >>d$n/f$n.txt; done; echo ready; sleep 60',
    workspace: { project, commit },
  });
  await isReady(server, one);
  const tookMs: number[] = [];
  for (const request of ['r1', 'r2', 'r3']) {
    const taken = await asked(server, one, request);
    expect(taken).toMatchObject({ files: 20, leftOutCount: 0 });
    expect(taken.bundleBytes).toBeLessThan(1_000_000);
    tookMs.push(taken.tookMs);
  }
  if (process.env['HELIX_SHOW_TIMES']) console.log({ tookMs, bundleBytes: server.checkpoints.map((checkpoint) => checkpoint.bundleBytes) });
}, 60_000);
