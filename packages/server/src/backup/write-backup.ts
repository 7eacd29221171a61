import { createHash, randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { Logger } from 'pino';
import { type BaseBackup, beginBaseBackup, isCopied } from '../db/base-backup.ts';
import { postgresMajor } from '../db/postgres-binaries.ts';
import type { Mirrors } from '../projects/mirror.ts';
import { SWEEP_LOCK } from '../retention/retention-sql.ts';
import { BACKUP_FORMAT, type BackupManifest, MANIFEST, MANIFEST_HASH, SINGLE_FILES } from './manifest.ts';
import { BLOCK_BYTES, encodeHeader, paddingOf } from './tar-format.ts';

export interface BackupSource {
  /** Address of the embedded database, whose files are in `postgres` of the data folder. */
  databaseUrl: string;
  dataFolder: string;
  mirrors: Mirrors;
  version: string;
  log: Pick<Logger, 'warn'>;
}

const READ_BYTES = 1024 * 1024;
/** Folders that are only needed while a backup is made; what a killed server left of them is removed with the next. */
const STAGING = 'backup-staging-';

/**
 * Everything the server keeps, as a `.tar.zst`. The rows are those of the moment at which the files of the database are
 * copied; code and archives follow, and nothing is removed meanwhile, so that whatever a row names is there.
 *
 * @throws CodedError `gc.busy` when a sweep or another backup takes long
 */
export async function openBackup(source: BackupSource): Promise<Readable> {
  const base = await beginBaseBackup(source.databaseUrl, SWEEP_LOCK);
  const compress = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  return pipeline(Readable.from(archiveOf(source, base), { objectMode: false }), compress, (error) => {
    if (error) source.log.warn({ err: error }, 'a backup was not finished');
  });
}

async function* archiveOf(source: BackupSource, base: BaseBackup): AsyncGenerator<Buffer> {
  const { dataFolder, mirrors } = source;
  const staging = path.join(dataFolder, `${STAGING}${randomBytes(6).toString('hex')}`);
  const files: BackupManifest['files'] = [];
  const letGo = mirrors.holdCheckpoints();
  try {
    for (const name of await readdir(dataFolder))
      if (name.startsWith(STAGING)) await rm(path.join(dataFolder, name), { recursive: true, force: true });

    yield* databaseFiles(path.join(dataFolder, 'postgres'), base, files);
    for (const name of SINGLE_FILES) yield* fileEntry(path.join(dataFolder, name), name, files);
    yield* folderEntry('repos');
    for (const name of (await readdir(path.join(dataFolder, 'repos'))).filter((one) => one.endsWith('.git'))) {
      const copy = path.join(staging, name);
      await mirrors.exclusively(name.slice(0, -'.git'.length) as ProjectId, () =>
        copyRepository(path.join(dataFolder, 'repos', name), copy),
      );
      yield* folderFiles(copy, `repos/${name}`, files);
      await rm(copy, { recursive: true, force: true });
    }
    yield* folderFiles(path.join(dataFolder, 'blobs'), 'blobs', files, (relative) => !relative.startsWith('.'));

    const manifest: BackupManifest = {
      format: BACKUP_FORMAT,
      madeAt: new Date().toISOString(),
      version: source.version,
      platform: `${process.platform}-${process.arch}`,
      postgresMajor,
      migrations: base.migrations,
      files,
    };
    const text = Buffer.from(`${JSON.stringify(manifest)}\n`);
    yield* textEntry(MANIFEST, text);
    yield* textEntry(MANIFEST_HASH, Buffer.from(`${createHash('sha256').update(text).digest('hex')}\n`));
    yield Buffer.alloc(2 * BLOCK_BYTES);
  } finally {
    letGo();
    await base.close().catch(() => {});
    await rm(staging, { recursive: true, force: true });
  }
}

/** The cluster as it runs, its label, and the part of the log that makes one state of it. */
async function* databaseFiles(folder: string, base: BaseBackup, files: BackupManifest['files']): AsyncGenerator<Buffer> {
  const cluster = path.join(folder, String(postgresMajor));
  const name = `postgres/${postgresMajor}`;
  yield* folderEntry('postgres');
  yield* folderEntry(name);
  yield* fileEntry(path.join(cluster, 'password'), `${name}/password`, files);
  const data = path.join(cluster, 'data');
  yield* folderFiles(data, `${name}/data`, files, isCopied);
  const { label, firstSegment, lastSegment } = await base.stop();
  const text = Buffer.from(label);
  yield* textEntry(`${name}/data/backup_label`, text);
  files.push({ path: `${name}/data/backup_label`, bytes: text.length, sha256: createHash('sha256').update(text).digest('hex') });
  for (const segment of (await readdir(path.join(data, 'pg_wal'))).sort()) {
    const isNeeded = /^[0-9A-F]{24}$/.test(segment) ? segment >= firstSegment && segment <= lastSegment : segment.endsWith('.history');
    if (isNeeded) yield* fileEntry(path.join(data, 'pg_wal', segment), `${name}/data/pg_wal/${segment}`, files);
  }
}

/** Objects never change, so that a link is a copy of them; what does change is small. */
async function copyRepository(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    // Objects of a bundle that is still arriving, and locks, belong to nobody yet.
    if (entry.name.startsWith('tmp_') || entry.name.endsWith('.lock')) continue;
    if (entry.isDirectory()) await copyRepository(source, target);
    else if (!source.includes('/objects/')) await copyFile(source, target);
    else await link(source, target).catch(() => copyFile(source, target));
  }
}

/** A folder and what is below it, in an order in which it can be unpacked. What vanishes meanwhile is left out. */
async function* folderFiles(
  folder: string,
  name: string,
  files: BackupManifest['files'],
  isWanted: (relative: string) => boolean = () => true,
  relative = '',
): AsyncGenerator<Buffer> {
  yield* folderEntry(name);
  const entries = await readdir(folder, { withFileTypes: true }).catch(absent(() => []));
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const below = relative === '' ? entry.name : `${relative}/${entry.name}`;
    if (!isWanted(below)) continue;
    const from = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* folderFiles(from, `${name}/${entry.name}`, files, isWanted, below);
    else if (entry.isFile()) yield* fileEntry(from, `${name}/${entry.name}`, files);
  }
}

function* folderEntry(name: string): Generator<Buffer> {
  yield encodeHeader({ path: name, isFolder: true, mode: 0o700, bytes: 0 });
}

function* textEntry(name: string, text: Buffer): Generator<Buffer> {
  yield encodeHeader({ path: name, isFolder: false, mode: 0o600, bytes: text.length });
  yield text;
  yield Buffer.alloc(paddingOf(text.length));
}

/** As many bytes as the file has now: what a growing one gets later is in the log of the database, a shortened one ends in zeros. */
async function* fileEntry(file: string, name: string, files: BackupManifest['files']): AsyncGenerator<Buffer> {
  const handle = await open(file).catch(absent(() => undefined));
  if (!handle) return;
  try {
    const { size, mode } = await handle.stat();
    yield encodeHeader({ path: name, isFolder: false, mode, bytes: size });
    const hash = createHash('sha256');
    for (let at = 0; at < size; ) {
      const piece = Buffer.alloc(Math.min(READ_BYTES, size - at));
      const { bytesRead } = await handle.read(piece, 0, piece.length, at);
      at += bytesRead === 0 ? piece.length : bytesRead;
      const part = bytesRead === 0 ? piece : piece.subarray(0, bytesRead);
      hash.update(part);
      yield part;
    }
    yield Buffer.alloc(paddingOf(size));
    files.push({ path: name, bytes: size, sha256: hash.digest('hex') });
  } finally {
    await handle.close();
  }
}

function absent<T>(instead: () => T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead();
    throw error;
  };
}
