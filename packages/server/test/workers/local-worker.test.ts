import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
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
