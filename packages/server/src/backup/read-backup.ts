import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { CodedError } from '@helixcode/protocol/errors';
import { readMigrations } from '../db/migrate.ts';
import { postgresMajor } from '../db/postgres-binaries.ts';
import { BACKUP_FOLDERS, BACKUP_FORMAT, type BackupManifest, backupManifest, MANIFEST, MANIFEST_HASH, SINGLE_FILES } from './manifest.ts';
import { BLOCK_BYTES, decodeHeader, paddingOf, type TarEntry } from './tar-format.ts';

export interface Unpack {
  folder: string;
  isWanted: (path: string) => boolean;
  isLasting: boolean;
}

/** A manifest names every file: a few hundred bytes each. */
const MANIFEST_LIMIT_BYTES = 1024 ** 3;

/**
 * Reads a whole backup and compares every byte with its manifest.
 *
 * @param unpack where to put what it asks for, a folder that exists; `isLasting` waits until it is on the disk. What was
 *   unpacked is of use only when this returns.
 * @throws CodedError `backup.damaged` when it is not whole or was changed, `backup.disk_full`
 */
export async function readBackup(file: string, unpack?: Unpack): Promise<BackupManifest> {
  const damaged = (fact: string, cause?: unknown): CodedError =>
    new CodedError('backup.damaged', `${file} is not a whole backup: ${fact}`, {
      next: `restore another backup: ls -l ${path.dirname(file)}`,
      cause,
    });
  const found = new Map<string, { bytes: number; sha256: string }>();
  let manifestText: Buffer | undefined;
  let manifestHash: string | undefined;
  const source = createReadStream(file);
  const bytes = new ByteReader(pipeline(source, createZstdDecompress(), () => {}));
  try {
    for (;;) {
      const entry = decodeHeader(await bytes.take(BLOCK_BYTES));
      if (!entry) break;
      checkPath(entry.path);
      if (found.has(entry.path)) throw new Error(`it holds ${entry.path} twice`);
      if (entry.path === MANIFEST || entry.path === MANIFEST_HASH) {
        if (entry.bytes > MANIFEST_LIMIT_BYTES) throw new Error(`its ${entry.path} is too large`);
        const text = await bytes.take(entry.bytes);
        if (entry.path === MANIFEST) manifestText = text;
        else manifestHash = text.toString().trim();
        await bytes.skip(paddingOf(entry.bytes));
      } else if (entry.isFolder) {
        if (unpack?.isWanted(entry.path)) await mkdir(path.join(unpack.folder, entry.path), { recursive: true, mode: 0o700 });
      } else {
        found.set(entry.path, { bytes: entry.bytes, sha256: await readFile(bytes, entry, unpack) });
        await bytes.skip(paddingOf(entry.bytes));
      }
    }
    // The end of the compressed stream has a checksum of its own.
    await bytes.toEnd();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR')
      throw new CodedError('backup.damaged', `the backup ${file} cannot be read: ${(error as Error).message}`, {
        next: `ls -l ${file}`,
        cause: error,
      });
    // The disk we unpack to is not a fault of the backup.
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new CodedError('backup.disk_full', `there is no room in ${unpack?.folder} for what ${file} holds`, {
        next: `df -h ${unpack?.folder}`,
        cause: error,
      });
    if (code === 'EROFS') throw error;
    throw damaged(error instanceof Error ? error.message : String(error), error);
  } finally {
    source.destroy();
  }

  if (manifestText === undefined || manifestHash === undefined) throw damaged('it ends before its manifest');
  if (createHash('sha256').update(manifestText).digest('hex') !== manifestHash) throw damaged('its manifest was changed');
  const value = JSON.parse(manifestText.toString()) as { format?: unknown };
  refuseNewerFormat(file, value.format);
  const parsed = backupManifest.safeParse(value);
  if (!parsed.success) throw damaged('its manifest is not one', parsed.error);
  const manifest = parsed.data;
  for (const { path: name, bytes, sha256 } of manifest.files) {
    const file = found.get(name);
    if (!file) throw damaged(`${name} is missing`);
    if (file.bytes !== bytes || file.sha256 !== sha256) throw damaged(`${name} was changed`);
    found.delete(name);
  }
  const [extra] = found.keys();
  if (extra !== undefined) throw damaged(`it holds ${extra}, which its manifest does not name`);
  return manifest;
}

/** @throws CodedError `backup.unsuitable` for what a newer release made, or one on another platform */
export function refuseUnsuitable(file: string, manifest: BackupManifest, migrationsFolder: string): void {
  const known = new Set(readMigrations(migrationsFolder).map(({ name }) => name));
  const unknown = manifest.migrations.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new CodedError('backup.unsuitable', `${file} was made by a newer release (${manifest.version}): its database has ${unknown}`, {
      next: 'install that release, then helix restore',
    });
  const here = `${process.platform}-${process.arch}`;
  if (manifest.platform !== here || manifest.postgresMajor !== postgresMajor)
    throw new CodedError(
      'backup.unsuitable',
      `${file} holds a database of PostgreSQL ${manifest.postgresMajor} on ${manifest.platform}; here is ${postgresMajor} on ${here}`,
      { next: `helix restore ${file}, on ${manifest.platform}` },
    );
}

function refuseNewerFormat(file: string, format: unknown): void {
  if (typeof format !== 'number' || format <= BACKUP_FORMAT) return;
  throw new CodedError(
    'backup.unsuitable',
    `${file} was made by a newer release: its format is ${format}, this one knows up to ${BACKUP_FORMAT}`,
    {
      next: 'install that release, then helix restore',
    },
  );
}

/** Nothing of an archive goes anywhere but where a backup has it. */
function checkPath(name: string): void {
  const parts = name.split('/');
  const isKnown = parts.length === 1 ? SINGLE_FILES.includes(name as never) || [MANIFEST, MANIFEST_HASH].includes(name) : true;
  const isBelow = BACKUP_FOLDERS.includes(parts[0] as never);
  if (
    !(isBelow || (parts.length === 1 && isKnown)) ||
    parts.some((part) => part === '' || part === '.' || part === '..') ||
    name.includes('\0')
  )
    throw new Error(`it holds ${JSON.stringify(name)}, which no backup has`);
}

async function readFile(bytes: ByteReader, entry: TarEntry, unpack: Unpack | undefined): Promise<string> {
  const hash = createHash('sha256');
  let handle: FileHandle | undefined;
  try {
    if (unpack?.isWanted(entry.path)) {
      const target = path.join(unpack.folder, entry.path);
      await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
      handle = await open(target, 'wx', entry.mode & 0o700);
    }
    for await (const piece of bytes.pieces(entry.bytes)) {
      hash.update(piece);
      if (handle) await handle.writeFile(piece);
    }
    if (unpack?.isLasting) await handle?.sync();
  } finally {
    await handle?.close();
  }
  return hash.digest('hex');
}

/** Cuts a stream into pieces of wanted sizes. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: NodeJS.ReadableStream) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** @throws Error when the stream ends before */
  async *pieces(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0) {
        const { value, done } = await this.#chunks.next();
        if (done) throw new Error('it ends early');
        this.#rest = value;
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async take(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.pieces(length)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async skip(length: number): Promise<void> {
    await this.take(length);
  }

  async toEnd(): Promise<void> {
    while (!(await this.#chunks.next()).done);
  }
}
