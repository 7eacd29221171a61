import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { newId } from '@helixcode/protocol/ids';
import { backupHandlers } from '@helixcode/server/backup/backup-handlers';
import { type BackupManifest, MANIFEST, MANIFEST_HASH } from '@helixcode/server/backup/manifest';
import { readBackup, refuseUnsuitable } from '@helixcode/server/backup/read-backup';
import { BLOCK_BYTES, decodeHeader, encodeHeader, paddingOf } from '@helixcode/server/backup/tar-format';
import { migrationsFolder, readMigrations } from '@helixcode/server/db/migrate';
import { postgresMajor } from '@helixcode/server/db/postgres-binaries';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { givenFolder } from '../projects/repository.ts';

const longPath = `repos/prj_1.git/objects/pack/pack-${'a'.repeat(64)}.idx`;
const someFiles = { 'secret.key': 'secret', 'blobs/ab/abc': 'x'.repeat(100_000), [longPath]: 'index' };

interface Change {
  manifest?: Partial<BackupManifest>;
  /** Files of the archive that the manifest does not name. */
  more?: Record<string, string>;
  /** Files of the manifest that are not there. */
  without?: string;
  /** Does something to the finished archive. */
  archive?: (archive: Buffer) => Buffer;
}

function entry(name: string, text: string): Buffer {
  const content = Buffer.from(text);
  const header = encodeHeader({ path: name, isFolder: false, mode: 0o600, bytes: content.length });
  return Buffer.concat([header, content, Buffer.alloc(paddingOf(content.length))]);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function archiveOf({ manifest, more = {}, without, archive = (whole) => whole }: Change = {}): Buffer {
  const named = Object.entries(someFiles);
  const text = JSON.stringify({
    format: 1,
    madeAt: new Date().toISOString(),
    version: '1.2.3',
    platform: `${process.platform}-${process.arch}`,
    postgresMajor,
    migrations: readMigrations(migrationsFolder).map(({ name }) => name),
    files: named.map(([name, content]) => ({ path: name, bytes: content.length, sha256: sha256(content) })),
    ...manifest,
  } satisfies BackupManifest);
  return archive(
    Buffer.concat([
      ...[...named, ...Object.entries(more)].flatMap(([name, content]) => (name === without ? [] : [entry(name, content)])),
      entry(MANIFEST, text),
      entry(MANIFEST_HASH, sha256(text)),
      Buffer.alloc(2 * BLOCK_BYTES),
    ]),
  );
}

function givenBackup(change: Change = {}, cut = 1): string {
  const file = path.join(givenFolder(), 'backup.tar.zst');
  const compressed = zstdCompressSync(archiveOf(change));
  writeFileSync(file, compressed.subarray(0, Math.floor(compressed.length * cut)));
  return file;
}

test('a whole backup is unpacked as it was, for its owner alone, and any tar reads it [O2]', async () => {
  const folder = givenFolder();
  await readBackup(givenBackup(), { folder, isWanted: () => true, isLasting: false });
  for (const [name, content] of Object.entries(someFiles)) {
    expect(readFileSync(path.join(folder, name), 'utf8')).toBe(content);
    expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600);
  }
  const listed = execFileSync('tar', ['-tf', '-'], { input: archiveOf(), encoding: 'utf8' }).trim().split('\n');
  expect(listed).toEqual([...Object.keys(someFiles), MANIFEST, MANIFEST_HASH]);
});

test.each([0, 0.2, 0.7, 0.99])('a backup of which %d is left is refused', async (cut) => {
  await expect(readBackup(givenBackup({}, cut))).rejects.toMatchObject({ code: 'backup.damaged' });
});

const cases: [string, Change, string | RegExp][] = [
  ['lacks a file', { without: 'secret.key' }, 'secret.key is missing'],
  ['holds a file too many', { more: { 'blobs/cd/cdx': 'more' } }, 'blobs/cd/cdx'],
  [
    'holds another content',
    { archive: (whole) => Buffer.from(whole.toString('latin1').replace('secret\0', 'Secret\0'), 'latin1') },
    /changed/,
  ],
  [
    'has no manifest',
    { archive: (whole) => Buffer.concat([whole.subarray(0, 2 * BLOCK_BYTES), Buffer.alloc(2 * BLOCK_BYTES)]) },
    'before its manifest',
  ],
  ['leads out of its folder', { more: { 'blobs/../../escaped': 'x' } }, 'which no backup has'],
  ['names an absolute path', { more: { '/tmp/escaped': 'x' } }, 'which no backup has'],
  ['holds what no backup has', { more: { 'server.json': '{}' } }, 'which no backup has'],
];
test.each(cases)('a backup that %s is refused', async (_, change, said) => {
  const folder = path.join(givenFolder(), 'inner');
  mkdirSync(folder);
  const reading = readBackup(givenBackup(change), { folder, isWanted: () => true, isLasting: false });
  await expect(reading).rejects.toMatchObject({ code: 'backup.damaged', message: expect.stringMatching(said) });
  expect(readdirSync(path.dirname(folder))).toEqual(['inner']);
});

test('a backup of a newer release, or of another platform, is refused by what it needs', async () => {
  await expect(readBackup(givenBackup({ manifest: { format: 2 } }))).rejects.toMatchObject({ code: 'backup.unsuitable' });
  const refusal = async (manifest: Partial<BackupManifest>): Promise<void> =>
    refuseUnsuitable('b.tar.zst', await readBackup(givenBackup({ manifest })), migrationsFolder);
  await expect(refusal({ migrations: ['0001-foundation', '9999-moon'] })).rejects.toMatchObject({
    code: 'backup.unsuitable',
    message: expect.stringContaining('9999-moon'),
  });
  await expect(refusal({ platform: 'plan9-mips' })).rejects.toMatchObject({ message: expect.stringContaining('plan9-mips') });
  await expect(refusal({})).resolves.toBeUndefined();
});

test('an entry of 9 GiB keeps its size', () => {
  const large = { path: 'blobs/ab/abc', isFolder: false, mode: 0o600, bytes: 9 * 2 ** 30 };
  expect(decodeHeader(encodeHeader(large))).toEqual(large);
});

test('the database of somebody else is not copied, and what does it is named [O2]', async () => {
  const handlers = backupHandlers({
    databaseUrl: undefined,
    dataFolder: '/srv/helix',
    mirrors: createMirrors(givenFolder()),
    version: '1.2.3',
    log: pino({ level: 'silent' }),
  });
  const call = { params: {}, query: undefined, body: undefined, user: newId('user'), signal: AbortSignal.abort(), lastEventId: undefined };
  await expect(handlers['server.backup'](call)).rejects.toMatchObject({
    code: 'backup.external_database',
    next: expect.stringMatching(/pg_dump.*\/srv\/helix/),
  });
});
