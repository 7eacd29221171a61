import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { Git } from './git.ts';
import type { Mirrors } from './mirror.ts';

/** The files of one commit. */
export interface CommitFiles {
  /** Relative to the root, `/` between folders; links too, submodules not. */
  readonly paths: readonly string[];
  /** The text of a file (of a link: where it points), `undefined` where there is none. */
  read(path: string): Promise<string | undefined>;
  /** Length of a file, `undefined` where there is none. */
  sizeBytes(path: string): number | undefined;
}

/** Lists of files that are kept: the tasks under way look at few commits, but at each of them often. */
const KEPT_COMMITS = 16;
/** A reader that was not used for so long is ended. */
const READER_IDLE_MS = 1_000;

/**
 * @returns reads the tree of a commit from the project's mirror; it throws CodedError `snapshot.refused` when the mirror does
 *   not have the commit
 */
export function createCommitFiles(mirrors: Mirrors): (project: ProjectId, commit: string) => Promise<CommitFiles> {
  const kept = new Map<string, Promise<CommitFiles>>();
  return (project, commit) => {
    const key = `${project} ${commit}`;
    const known = kept.get(key) ?? openCommit(mirrors, project, commit);
    kept.delete(key);
    kept.set(key, known);
    known.catch(() => kept.delete(key));
    const [oldest] = kept.keys();
    if (kept.size > KEPT_COMMITS && oldest !== undefined) kept.delete(oldest);
    return known;
  };
}

async function openCommit(mirrors: Mirrors, project: ProjectId, commit: string): Promise<CommitFiles> {
  if (!(await mirrors.hasCommit(project, commit)))
    throw new CodedError('snapshot.refused', `the server does not have commit ${commit.slice(0, 12)} of project ${project}`, {
      next: 'helix test',
    });
  const gitDir = mirrors.folderOf(project);
  const listing = await mirrors.git.run([`--git-dir=${gitDir}`, 'ls-tree', '-r', '-l', '-z', '--full-tree', commit]);
  const blobs = new Map<string, { hash: string; sizeBytes: number }>();
  for (const entry of listing.toString().split('\0')) {
    const [, type, hash, size, path] = /^\d+ (\w+) ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(entry) ?? [];
    if (type === 'blob' && hash !== undefined && path !== undefined) blobs.set(path, { hash, sizeBytes: Number(size) });
  }
  const readBlob = createBlobReader(mirrors.git, gitDir);
  return {
    paths: [...blobs.keys()],
    async read(path) {
      const blob = blobs.get(path);
      return blob && (await readBlob(blob.hash)).toString();
    },
    sizeBytes: (path) => blobs.get(path)?.sizeBytes,
  };
}

interface Waiting {
  resolve(content: Buffer): void;
  reject(error: Error): void;
}

/** One `git cat-file --batch` answers all reads in turn, and ends when nobody has asked for a while. */
function createBlobReader(git: Git, gitDir: string): (hash: string) => Promise<Buffer> {
  let child: ChildProcessByStdio<Writable, Readable, Readable> | undefined;
  let idle: NodeJS.Timeout | undefined;
  const waiting: Waiting[] = [];

  const start = (): ChildProcessByStdio<Writable, Readable, Readable> => {
    const started = git.start([`--git-dir=${gitDir}`, 'cat-file', '--batch']);
    let held: Buffer[] = [];
    let heldBytes = 0;
    // Of the answer that is being read: its length, known once its first line is there.
    let neededBytes = 0;
    const fail = (error: Error): void => {
      if (child === started) child = undefined;
      for (const one of waiting.splice(0)) one.reject(error);
    };
    started.stdout.on('data', (chunk: Buffer) => {
      held.push(chunk);
      heldBytes += chunk.length;
      while (heldBytes > 0 && heldBytes >= neededBytes) {
        const bytes = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
        held = [bytes];
        const lineEnd = bytes.indexOf(10);
        if (lineEnd < 0) return;
        // `<hash> blob <size>`, the content, a line break; or `<hash> missing`.
        const size = / (\d+)$/.exec(bytes.subarray(0, lineEnd).toString())?.[1];
        neededBytes = lineEnd + 1 + (size === undefined ? 0 : Number(size) + 1);
        if (heldBytes < neededBytes) return;
        if (size === undefined) waiting.shift()?.reject(new Error(`git: ${bytes.subarray(0, lineEnd).toString()}`));
        else waiting.shift()?.resolve(bytes.subarray(lineEnd + 1, neededBytes - 1));
        held = [bytes.subarray(neededBytes)];
        heldBytes -= neededBytes;
        neededBytes = 0;
      }
      if (waiting.length === 0) idle = setTimeout(() => started.stdin.end(), READER_IDLE_MS).unref();
    });
    started.stdin.on('error', () => {});
    started.stderr.resume();
    started.on('error', fail);
    started.on('close', () => child === started && fail(new Error('git cat-file ended before it had answered')));
    started.unref();
    return started;
  };

  return (hash) =>
    new Promise((resolve, reject) => {
      clearTimeout(idle);
      if (child === undefined || child.stdin.writableEnded) child = start();
      waiting.push({ resolve, reject });
      child.stdin.write(`${hash}\n`);
    });
}
