import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import { GitError } from './git.ts';
import { type Mirrors, SNAPSHOT_REFS } from './mirror.ts';

/** A larger bundle is refused: 10 GiB. */
export const MAX_BUNDLE_BYTES = 10 * 1024 ** 3;

/**
 * Puts a commit and what it needs, from a git bundle, into the mirror and keeps it there.
 *
 * The objects wait in a folder of their own until the commit is known to be whole: a bundle that is refused, or whose
 * sender goes away, leaves nothing behind. (What a killed server leaves has the name of git's own unfinished object
 * folders, which `git prune` removes.)
 *
 * @param options `ref`: what keeps the commit, in place of the snapshots' own
 * @returns the size of the bundle in bytes
 * @throws CodedError `snapshot.refused` with the reason, `api.payload_too_large`
 */
export async function takeSnapshot(
  mirrors: Mirrors,
  project: ProjectId,
  commit: string,
  bundle: Readable,
  options: { maxBytes?: number; signal?: AbortSignal; ref?: string } = {},
): Promise<number> {
  const { maxBytes = MAX_BUNDLE_BYTES, signal, ref = `${SNAPSHOT_REFS}/${commit}` } = options;
  // A sender that goes away before its bytes are read: `pipeline` tells it when its turn comes.
  bundle.on('error', () => {});
  await mirrors.ensure(project, commit.length === 64 ? 'sha256' : 'sha1');
  const gitDir = mirrors.folderOf(project);
  const objects = path.join(gitDir, 'objects');
  const waiting = path.join(objects, `tmp_objdir-snapshot-${randomBytes(6).toString('hex')}`);
  const file = path.join(waiting, 'bundle');
  try {
    await mkdir(path.join(waiting, 'pack'), { recursive: true });
    await mkdir(path.join(waiting, 'info'));
    await writeFile(path.join(waiting, 'info', 'alternates'), `${objects}\n`);
    await pipeline(bundle, atMost(maxBytes), createWriteStream(file, { mode: 0o600 }), ...(signal ? [{ signal }] : []));
    const { size } = await stat(file);
    await mirrors.exclusively(project, async () => {
      await unbundle(mirrors, gitDir, waiting, file, commit);
      await adoptPacks(path.join(waiting, 'pack'), path.join(objects, 'pack'));
      await mirrors.git.run([`--git-dir=${gitDir}`, 'update-ref', ref, commit]);
    });
    return size;
  } finally {
    await rm(waiting, { recursive: true, force: true });
  }
}

async function unbundle(mirrors: Mirrors, gitDir: string, waiting: string, file: string, commit: string): Promise<void> {
  const run = async (reason: string, ...args: string[]): Promise<string> => {
    try {
      return await mirrors.git.text([`--git-dir=${gitDir}`, ...args], { env: { GIT_OBJECT_DIRECTORY: waiting } });
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      throw refused(commit, `${reason}: ${error.reason}`, error);
    }
  };
  const bundle = (word: string, ...more: string[]): string[] => ['bundle', word, ...more, file];
  let heads: string;
  try {
    // Says what it holds, and looks first whether the project has what it builds on.
    heads = await run('it is damaged', ...bundle('unbundle'));
  } catch (error) {
    await run('it is no git bundle', ...bundle('list-heads'));
    await run('it builds on commits that the project does not have', ...bundle('verify', '--quiet'));
    throw error;
  }
  if (!heads.split('\n').some((line) => line.startsWith(`${commit} `))) throw refused(commit, 'it does not hold that commit');
  try {
    // Walks everything that is new, down to the existence of each file.
    await run('it is incomplete', 'rev-list', '--objects', '--quiet', `${commit}^{commit}`, '--not', '--all');
  } catch (error) {
    const type = await run('it does not hold that commit', 'cat-file', '-t', commit);
    if (type !== 'commit') throw refused(commit, `${commit} is a ${type}`);
    throw error;
  }
}

/** Git takes a pack for whole as soon as its index is there, so that comes last. */
async function adoptPacks(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const names = (await readdir(from)).sort((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')));
  for (const name of names) await rename(path.join(from, name), path.join(to, name));
}

function atMost(maxBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= maxBytes) return done(null, chunk);
      done(
        new CodedError('api.payload_too_large', `the bundle is larger than ${maxBytes} bytes`, {
          next: 'helix projects add <path or URL>',
        }),
      );
    },
  });
}

function refused(commit: string, reason: string, cause?: unknown): CodedError {
  return new CodedError('snapshot.refused', `the bundle for commit ${commit.slice(0, 12)} was refused: ${reason}`, {
    next: 'helix test',
    cause,
  });
}
