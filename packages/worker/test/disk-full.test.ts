import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { givenRepository } from './support/given-repository.ts';
import { attempts, givenWorker } from './support/given-worker.ts';

const isRoot = process.getuid?.() === 0;

/** A filesystem of 4 MiB for the home of a worker; only root may mount one. */
function givenSmallDisk(): string {
  const folder = mkdtempSync(join(tmpdir(), 'helix-small-disk-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', folder]);
  onTestFinished(() => void execFileSync('umount', ['--lazy', folder]));
  return folder;
}

function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch {
    closeSync(file);
  }
}

test('a job whose folder cannot be written is refused, and the daemon goes on', async () => {
  const worker = givenWorker({ limitBlocks: 16 });
  const [one, two] = attempts();
  const server = await worker.connect();
  server.assign(one, { command: `true ${'x'.repeat(10_000)}` });
  expect(await server.over(one)).toMatchObject({
    state: 'refused',
    reason: {
      code: 'worker.disk_full',
      message: expect.stringContaining(worker.runFolder),
      details: { path: expect.any(String), freeBytes: expect.any(Number) },
    },
  });
  server.assign(two, { command: 'echo fine' });
  await server.over(two);
  expect(await server.read(two, 'out')).toBe('fine\n');
  server.send({ t: 'forget', attempt: one });
  server.assign(one, { command: 'true' });
  await server.reported(one, (report) => report.state === 'exited');
});

describe.runIf(isRoot)('on a small disk', () => {
  test('a full disk refuses jobs with the path and the free bytes until there is room', async () => {
    const worker = givenWorker({ home: join(givenSmallDisk(), 'home') });
    const [one, two] = attempts();
    const server = await worker.connect();
    fill(join(worker.home, 'filler'));
    server.assign(one, { command: 'true' });
    expect(await server.over(one)).toMatchObject({ state: 'refused', reason: { code: 'worker.disk_full', details: { freeBytes: 0 } } });
    rmSync(join(worker.home, 'filler'));
    server.assign(two, { command: 'exit 3' });
    expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 3 });
    expect(server.isClosed).toBe(false);
  });

  test('a job that fills the disk keeps its exit status and says why it failed', async () => {
    const worker = givenWorker({ home: join(givenSmallDisk(), 'home') });
    const [one] = attempts();
    const server = await worker.connect();
    server.assign(one, { command: 'cat /dev/zero >big; exit 5' });
    expect(await server.over(one)).toMatchObject({ state: 'exited', exitCode: 5, reason: { code: 'worker.disk_full' } });
  });

  test('a checkout that does not fit is refused and leaves no half of it behind', async () => {
    const worker = givenWorker({ home: join(givenSmallDisk(), 'home') });
    const repository = givenRepository();
    const large = repository.commit({ 'large.bin': randomBytes(3_000_000).toString('base64') });
    const [one, two] = attempts();
    const server = await worker.connect();
    server.repository = repository.path;
    server.assign(one, { command: 'true', workspace: { project: 'prj_1', commit: large } });
    expect(await server.over(one)).toMatchObject({ state: 'refused', reason: { code: 'worker.disk_full' } });
    expect(existsSync(join(worker.runFolder, 'trees', 'prj_1', '1'))).toBe(false);
    server.assign(two, { command: 'exit 3' });
    expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 3 });
  });
});
