import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { dataFolderHolder, lockDataFolder } from '@helixcode/server/db/data-folder-lock';
import { processIdentity } from '@helixcode/server/db/process-identity';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenProgram } from '../support/program.ts';

const holder = path.join(import.meta.dirname, 'programs/hold-data-folder.ts');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'helixcode-data-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a second server on the same data folder is refused, with the pid of the first and how to end it', () => {
  const lock = lockDataFolder(folder, { what: 'the server at http://127.0.0.1:4747' });

  expect(() => lockDataFolder(folder, { what: 'another' })).toThrow(
    expect.objectContaining({
      code: 'server.already_running',
      message: expect.stringMatching(`${folder} is in use by the server at http://127.0.0.1:4747 \\(pid ${process.pid},`),
      next: expect.stringMatching(/helix status.*helix down/),
    }),
  );
  expect(dataFolderHolder(folder)).toMatchObject({ pid: process.pid });

  lock.release();
  expect(dataFolderHolder(folder)).toBeUndefined();
  lockDataFolder(folder, { what: 'another' }).release();
});

test('a folder whose server was killed is free again, and one of several that ask at once gets it', async () => {
  const killed = await givenProgram(holder, folder);
  expect(killed.line).toBe('held');
  await killed.kill();

  const starters = await Promise.all(Array.from({ length: 5 }, () => givenProgram(holder, folder)));
  await Promise.all(starters.map((starter) => starter.kill()));

  expect(starters.map(({ line }) => line).sort()).toEqual(['held', ...Array(4).fill('server.already_running')]);
});

test('a living process that only got the number of a dead server does not hold its folder', () => {
  const self = processIdentity(process.pid);
  const [bootId, ticks] = self?.started.split('/') ?? [];
  mkdirSync(path.join(folder, 'server.lock'));
  for (const started of [`${bootId}/${Number(ticks) - 1}`, `another-boot/${ticks}`]) {
    writeFileSync(path.join(folder, 'server.lock/1'), JSON.stringify({ pid: process.pid, started, what: 'a dead server', since: '' }));
    expect(dataFolderHolder(folder)).toBeUndefined();
  }
  lockDataFolder(folder, { what: 'a server' }).release();
});

test('taking and giving back leaves one small file, whatever a power cut left there', () => {
  mkdirSync(path.join(folder, 'server.lock'));
  writeFileSync(path.join(folder, 'server.lock/7'), '{"pid": 12');
  writeFileSync(path.join(folder, 'server.lock/claim-1-abc'), '');
  for (let n = 0; n < 3; n++) lockDataFolder(folder, { what: 'a server' }).release();
  expect(readdirSync(path.join(folder, 'server.lock'))).toEqual(['10']);
});

test('a data folder that does not exist is held by nobody', () => {
  expect(dataFolderHolder(path.join(folder, 'none'))).toBeUndefined();
});
