import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkerMessage } from '@helixcode/protocol/worker/frames';
import { expect, test } from 'vitest';
import { givenRepository } from './support/given-repository.ts';
import { attempts, type GivenWorker, givenWorker } from './support/given-worker.ts';

const project = 'prj_1';

function treesOf(worker: GivenWorker): string[] {
  const folder = join(worker.runFolder, 'trees', project);
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => join(folder, name));
}

test('a job runs in a checkout that is the commit, byte for byte, and the next job reuses it', async () => {
  const worker = givenWorker({ environment: { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'core.autocrlf', GIT_CONFIG_VALUE_0: 'true' } });
  const repository = givenRepository();
  const files = {
    'plain.txt': 'a\nb\n',
    'crlf.txt': 'a\r\nb\r\n',
    'with space/ünïcode\nnew line.txt': 'x',
    '.gitignore': 'build/\n',
    'old.txt': 'old',
  };
  const first = repository.commit(files);
  const second = repository.commit({ 'plain.txt': 'changed\n', 'old.txt': undefined });
  const [one, two, three] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;

  server.assign(one, {
    command:
      'sha1sum plain.txt crlf.txt with*/*; git rev-parse HEAD; git status --porcelain; mkdir build; echo junk >build/x; echo junk >untracked; echo dirt >plain.txt; rm crlf.txt',
    workspace: { project, commit: first },
  });
  const report = await server.over(one);
  expect(report).toMatchObject({ state: 'exited', exitCode: 0, prepareMs: expect.any(Number) });
  expect(server.reportsOf(one).map(({ state }) => state)).toEqual(['preparing', 'running', 'exited']);
  const said = await server.read(one, 'out');
  expect(said).toContain(first);
  expect(said).not.toContain('??');
  expect(said).not.toContain(' M ');

  server.assign(two, {
    command: 'ls -A; cat plain.txt; git status --porcelain --ignored; test ! -e build',
    workspace: { project, commit: second },
  });
  expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(await server.read(two, 'out')).toBe('.git\n.gitignore\ncrlf.txt\nplain.txt\nwith space\nchanged\n');

  server.assign(three, { command: 'cat plain.txt; cat with*/*', cwd: 'with space/..', workspace: { project, commit: first } });
  await server.over(three);
  expect(await server.read(three, 'out')).toBe('a\nb\nx');
  expect(treesOf(worker)).toHaveLength(1);
  expect(server.tunnelsOpened).toEqual([`upload-pack ${project}`, `upload-pack ${project}`]);
  server.send({ t: 'ping', at: 1 });
  expect(await server.hears('pong')).toMatchObject({ warmProjects: [project] });
});

test('jobs at the same time get trees of their own and share one fetch', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const ids = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  for (const id of ids) server.assign(id, { command: 'pwd; sleep 0.3; echo $HELIX_JOB >mine; cat mine', workspace: { project, commit } });
  for (const id of ids) {
    await server.over(id);
    expect(await server.read(id, 'out')).toContain(id);
  }
  expect(treesOf(worker)).toHaveLength(3);
  expect(server.tunnelsOpened).toHaveLength(1);
});

test('a broken working tree is made anew, and a broken repository too', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a\n' });
  const [one, two, three] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  const run = async (id: string): Promise<string> => {
    server.assign(id, { command: 'cat a.txt; git status --porcelain 2>&1', workspace: { project, commit } });
    await server.over(id);
    return server.read(id, 'out');
  };
  await run(one);
  const [tree = ''] = treesOf(worker);
  writeFileSync(join(tree, '.git'), 'gitdir: /nowhere\n');
  expect(await run(two)).toBe('a\n');
  rmSync(join(worker.runFolder, 'repos', `${project}.git`, 'objects'), { recursive: true });
  expect(await run(three)).toBe('a\n');
});

test('what a git that was killed has locked is locked for nobody', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const first = repository.commit({ 'a.txt': 'a' });
  const second = repository.commit({ 'a.txt': 'b' });
  const [one, two] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, { command: 'cat a.txt', workspace: { project, commit: first } });
  expect(await server.over(one)).toMatchObject({ state: 'exited', exitCode: 0 });

  const bare = join(worker.runFolder, 'repos', `${project}.git`);
  for (const lock of ['shallow.lock', 'packed-refs.lock', `refs/helix/commits/${second}.lock`]) writeFileSync(join(bare, lock), '');
  const [tree = ''] = treesOf(worker);
  rmSync(tree, { recursive: true });
  writeFileSync(join(bare, 'worktrees', '1', 'locked'), 'initializing');
  server.assign(two, { command: 'cat a.txt', workspace: { project, commit: second } });
  expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(await server.read(two, 'out')).toBe('b');
});

test('a set-up runs once for its key, its outputs reach other trees and workers, and stay where they are', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a', 'packages/b/b.txt': 'b', '.gitignore': 'node_modules\n', 'lock.txt': '1' });
  const setup = {
    key: 'k1',
    command:
      'echo ran; mkdir -p node_modules/m "packages/b/node_modules/odd *[name]"; date +%N >node_modules/m/when; ln -s m node_modules/link; echo deep >"packages/b/node_modules/odd *[name]/-f"; echo touched >a.txt',
    timeoutMs: 10_000,
  };
  const [one, two, three] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  const command = 'cat node_modules/link/when packages/b/node_modules/*/-f a.txt; git status --porcelain';
  for (const id of [one, two]) server.assign(id, { command: `${command}; sleep 0.2`, workspace: { project, commit, setup } });
  await server.over(one);
  await server.over(two);
  const made = await server.read(one, 'out');
  expect(made).toMatch(/^\d+\ndeep\na$/);
  expect(await server.read(two, 'out')).toBe(made);
  server.assign(three, { command: `${command}; stat -c %Y node_modules/m/when`, workspace: { project, commit, setup } });
  const reused = await server.over(three);
  expect(reused.exitCode).toBe(0);
  expect(await server.read(three, 'out')).toContain(made);
  await expect.poll(() => [...server.blobs.keys()]).toEqual([expect.stringMatching(/^setup-k1-linux-/)]);

  const other = givenWorker();
  const [four] = attempts();
  const otherServer = await other.connect();
  otherServer.repository = repository.path;
  for (const [key, content] of server.blobs) otherServer.blobs.set(key, content);
  otherServer.assign(four, { command, workspace: { project, commit, setup } });
  await otherServer.over(four);
  expect(await otherServer.read(four, 'out')).toBe(made);
});

test('a set-up that fails refuses the job with the end of its output, and lets others try', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one, two] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, {
    command: 'true',
    workspace: {
      project,
      commit,
      setup: { key: 'k', command: 'head -c 5000 /dev/zero | tr "\\0" x; echo cannot resolve >&2; exit 4', timeoutMs: 10_000 },
    },
  });
  const report = await server.over(one);
  expect(report).toMatchObject({
    state: 'refused',
    reason: { code: 'workspace.setup_failed', details: { exitCode: 4, output: expect.stringContaining('cannot resolve') } },
  });
  expect(String(report.reason?.details?.['output'])).toHaveLength(2_000);
  await server.until(() => server.tunnelsOpened.some((tunnel) => tunnel.startsWith('blob-put')));
  server.assign(two, { command: 'true', workspace: { project, commit, setup: { key: 'slow', command: 'sleep 300', timeoutMs: 300 } } });
  expect(await server.over(two)).toMatchObject({
    state: 'refused',
    reason: { code: 'workspace.setup_failed', message: expect.stringContaining('longer than 300 ms') },
  });
});

test('a commit that the server does not have refuses the job', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  repository.commit({ 'a.txt': 'a' });
  const [one] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, { command: 'true', workspace: { project, commit: '1'.repeat(40) } });
  expect(await server.over(one)).toMatchObject({
    state: 'refused',
    reason: { code: 'workspace.failed', details: { output: expect.stringContaining('not our ref') } },
  });
});

test('outputs become one archive on the server, and another job starts with it', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one, two, three] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, {
    command: 'mkdir -p dist/deep; echo 1 >dist/deep/x.js; echo 2 >"dist/new\nline ü"; echo no >other',
    outputs: ['dist/**', '*.map'],
    workspace: { project, commit },
  });
  const report = await server.over(one);
  expect(report).toMatchObject({
    state: 'exited',
    exitCode: 0,
    outputsBlob: expect.stringMatching(/^[0-9a-f]{64}$/),
    reason: { code: 'build.output_missing', message: expect.stringContaining('*.map') },
  });
  expect([...server.blobs.keys()]).toEqual([report.outputsBlob]);

  server.assign(two, {
    command: 'find . -type f -not -path "./.git*" | sort; cat dist/*/*.js',
    inputs: [report.outputsBlob ?? ''],
    workspace: { project, commit },
  });
  await server.over(two);
  expect(await server.read(two, 'out')).toBe('./a.txt\n./dist/deep/x.js\n./dist/new\nline ü\n1\n');
  server.assign(three, { command: 'cat dist/deep/x.js', inputs: [report.outputsBlob ?? ''] });
  await server.over(three);
  expect(await server.read(three, 'out')).toBe('1\n');
});

test('a preparation goes on after the link was cut, after the daemon was killed, and waits for its secrets', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one, two] = attempts();
  const setup = { key: 'k', command: 'touch made; sleep 0.5', timeoutMs: 10_000 };
  const server = await worker.connect();
  server.repository = repository.path;
  server.assign(one, { command: 'ls made', workspace: { project, commit, setup } });
  server.assign(two, { command: 'echo $TOKEN', workspace: { project, commit } }, { TOKEN: 's3cret' });
  await server.reported(one, (report) => report.state === 'preparing');
  server.close();
  await worker.killDaemon();

  const next = await worker.connect();
  next.repository = repository.path;
  expect(await next.over(one)).toMatchObject({ state: 'exited', exitCode: 0 });
  const waiting = next.reportsOf(two).at(-1);
  if (waiting?.state !== 'exited') next.assign(two, { command: 'echo $TOKEN', workspace: { project, commit } }, { TOKEN: 's3cret' });
  await next.over(two);
  expect(await next.read(two, 'out')).toBe('s3cret\n');
});

test('a job cancelled while its checkout is made ready never begins, and another can be set up after it', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const [one, two] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  const setup = { key: 'k', command: 'if [ -e "$HOME/nothing" ] || [ "$SLOW" = 1 ]; then sleep 300; fi; touch made', timeoutMs: 60_000 };
  server.assign(one, { command: 'true', env: { SLOW: '1' }, workspace: { project, commit, setup } });
  server.assign(two, { command: 'ls made', workspace: { project, commit, setup } });
  await expect.poll(() => treesOf(worker).length).toBe(2);
  await server.until(() => server.tunnelsOpened.some((tunnel) => tunnel.startsWith('blob-get')));
  server.send({ t: 'cancel', attempt: one, graceMs: 0 });
  expect(await server.over(one)).toMatchObject({ state: 'cancelled' });
  expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 0 });
  expect(existsSync(join(worker.jobFolder(one), 'start'))).toBe(false);
});

test('what no job has used for long is removed, counted before, and what a job uses stays [W3]', async () => {
  const worker = givenWorker();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a\n'.repeat(10_000) });
  const [idle, other, held] = attempts();
  const server = await worker.connect();
  server.repository = repository.path;
  for (const [attempt, name] of [
    [idle, 'prj_idle'],
    [other, 'prj_2'],
  ] as const) {
    server.assign(attempt, { command: 'true', workspace: { project: name, commit } });
    await server.over(attempt);
    server.send({ t: 'forget', attempt });
  }
  const gate = join(worker.home, 'gate');
  server.assign(held, { command: `while ! test -e ${gate}; do sleep 0.05; done; cat a.txt`, workspace: { project: 'prj_2', commit } });
  await server.reported(held, (report) => report.state === 'running');
  const longAgo = new Date(Date.now() - 10 * 86_400_000);
  for (const key of ['old', 'new']) {
    mkdirSync(join(worker.runFolder, 'setup', key), { recursive: true });
    writeFileSync(join(worker.runFolder, 'setup', key, 'outputs.tar.zst'), key.repeat(1_000));
  }
  for (const path of ['setup/old/outputs.tar.zst', 'repos/prj_idle.git', 'trees/prj_idle/1.json', 'trees/prj_2/1.json', 'repos/prj_2.git'])
    utimesSync(join(worker.runFolder, path), longAgo, longAgo);

  const tidy = async (request: string, dryRun: boolean) => {
    server.send({ t: 'tidy', request, dryRun, limits: { unusedMs: 5 * 86_400_000, setupBytes: 2 ** 30 } });
    const answer = () => server.heard.find((message) => message.t === 'tidied' && message.request === request);
    await server.until(() => answer() !== undefined);
    // How long ago it was grows between the two.
    return (answer() as WorkerMessage & { t: 'tidied' }).items.map(({ kind, count, bytes }) => ({ kind, count, bytes }));
  };
  const promised = await tidy('dry', true);
  expect(promised).toEqual([
    { kind: 'worktrees', count: 1, bytes: expect.any(Number) },
    { kind: 'repositories', count: 1, bytes: expect.any(Number) },
    { kind: 'setups', count: 1, bytes: 3_000 },
  ]);
  expect(await tidy('real', false)).toEqual(promised);
  expect(readdirSync(join(worker.runFolder, 'trees'))).toEqual(['prj_2']);
  expect(readdirSync(join(worker.runFolder, 'repos'))).toEqual(['prj_2.git']);
  expect(readdirSync(join(worker.runFolder, 'setup'))).toEqual(['new']);
  writeFileSync(gate, '');
  expect(await server.over(held)).toMatchObject({ exitCode: 0 });

  const [later] = attempts();
  server.assign(later, { command: 'cat a.txt', workspace: { project: 'prj_idle', commit } });
  expect(await server.over(later)).toMatchObject({ exitCode: 0 });
});
