import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { daemonOf, givenWorkerTest, type WorkerTest } from '../support/ssh-workers.ts';

let given: WorkerTest;
beforeAll(async () => {
  given = await givenWorkerTest();
});
afterAll(() => given.end());
afterEach(() => given.clean());

test('the machine of the server is a worker too, whose jobs go on while the server does not', async () => {
  await given.restart({ workers: { local: true, localSlots: 3 } });
  const worker = given.registry.find('local');
  await given.registry.whenState(worker, 'up');
  const attempt = given.run(worker, 'echo begin; sleep 1; echo end; exit 2');
  await given.book.whenStored(attempt, 6);
  const daemon = daemonOf(join(given.folder, 'local', 'local'), worker);

  await given.restart({ workers: { local: true, localSlots: 3 } });
  expect(await given.book.whenComplete(attempt)).toMatchObject({ state: 'exited', exitCode: 2 });
  expect(given.book.outputOf(attempt).toString()).toBe('begin\nend\n');
  expect(daemonOf(join(given.folder, 'local', 'local'), given.registry.find('local'))).toBe(daemon);
  expect(given.registry.workers()).toMatchObject([{ name: 'local', slots: 3 }]);
});

test('output of 200 MB comes through whole', async () => {
  await given.restart({ workers: { local: true } });
  const worker = given.registry.find('local');
  await given.registry.whenState(worker, 'up');
  const lengths: number[] = [];
  const keep = given.book.storeOutput;
  given.book.storeOutput = async (pieces) => void lengths.push(...pieces.map(({ bytes }) => bytes.length));
  try {
    const attempt = given.run(worker, 'head -c 200000000 /dev/zero');
    await expect.poll(() => lengths.reduce((sum, length) => sum + length, 0), { timeout: 25_000 }).toBe(200_000_000);
    given.book.attempts.delete(attempt);
  } finally {
    given.book.storeOutput = keep;
  }
});

test('a folder of your own for a local worker keeps what else is in it', async () => {
  await given.restart();
  const folder = join(given.folder, 'mine');
  mkdirSync(folder);
  writeFileSync(join(folder, 'thesis.txt'), 'do not touch');
  const worker = await given.registry.add({ name: 'third', transport: 'local', labels: [], folder });
  await given.registry.whenState(worker, 'up');
  await given.registry.remove(worker, false);

  expect(readdirSync(folder)).toEqual(['thesis.txt']);
});

test('a local worker that is removed is gone with its folder and its daemon', async () => {
  await given.restart();
  const worker = await given.registry.add({ name: 'second', transport: 'local', labels: [] });
  await given.registry.whenState(worker, 'up');
  const home = join(given.folder, 'local', 'second');
  const daemon = daemonOf(home, worker);

  expect(await given.registry.remove(worker, false)).toBe(true);
  expect(existsSync(home)).toBe(false);
  expect(() => process.kill(daemon, 0)).toThrow();
});

test.runIf(process.getuid?.() === 0)(
  'a local worker whose disk is full when it should start comes up by itself when there is room',
  async () => {
    await given.restart();
    const folder = join(given.folder, 'small-disk');
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', folder]);
    onTestFinished(() => void execFileSync('umount', ['--lazy', folder]));
    spawnSync('dd', ['if=/dev/zero', `of=${join(folder, 'filler')}`, 'bs=4096']);

    const worker = await given.registry.add({ name: 'cramped', transport: 'local', labels: [], folder: join(folder, 'home') });
    await expect
      .poll(() => worker.row.reason, { timeout: 20_000 })
      .toMatchObject({
        code: 'worker.unreachable',
        message: `the worker in ${join(folder, 'home')} did not start: there is no room for its files`,
      });
    rmSync(join(folder, 'filler'));
    await given.registry.whenState(worker, 'up');
    await given.registry.remove(worker, true);
  },
);

test('a local worker that is killed while it starts is started again', async () => {
  await given.restart();
  const folder = join(given.folder, 'struck');
  const worker = await given.registry.add({ name: 'struck', transport: 'local', labels: [], folder });
  // It has its lock a moment before it listens.
  const lock = join(folder, 'run', hostname(), worker.row.id, 'lock');
  await expect.poll(() => existsSync(lock), { interval: 1, timeout: 20_000 }).toBe(true);
  process.kill(daemonOf(folder, worker), 'SIGKILL');
  await given.registry.whenState(worker, 'up');
  await given.registry.remove(worker, true);
});
