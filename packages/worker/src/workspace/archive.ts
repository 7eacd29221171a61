import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { mustRun } from './run-program.ts';

/** Fast enough not to be what a set-up waits for; the next levels cost more time than they save bytes. */
const COMPRESSION_LEVEL = 3;

/**
 * Writes files and folders into one `tar.zst`, which appears under its name when it is complete.
 *
 * @param paths relative to `root`, any characters
 * @throws ProgramFailed when tar cannot read one of them
 */
export async function packArchive(
  root: string,
  paths: readonly string[],
  target: string,
  options: { env: Record<string, string>; signal?: AbortSignal },
): Promise<void> {
  const draft = `${target}.${process.pid}.tmp`;
  const content = new PassThrough();
  try {
    // `./` keeps tar from taking a name that begins with a dash for an option.
    const names = paths.map((path) => `./${path}\0`).join('');
    await Promise.all([
      mustRun('tar', ['-C', root, '--null', '-T', '-', '-cf', '-'], { ...options, input: names, output: content }).catch((error) => {
        content.destroy(error);
        throw error;
      }),
      pipeline(
        content,
        createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL } }),
        createWriteStream(draft, { mode: 0o600 }),
      ),
    ]);
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** @throws ProgramFailed, or the error of a damaged archive */
export async function unpackArchive(
  archive: string,
  root: string,
  options: { env: Record<string, string>; signal?: AbortSignal },
): Promise<void> {
  const content = new PassThrough();
  await Promise.all([
    pipeline(createReadStream(archive), createZstdDecompress(), content),
    mustRun('tar', ['-C', root, '--no-same-owner', '-xpf', '-'], { ...options, input: content }),
  ]);
}
