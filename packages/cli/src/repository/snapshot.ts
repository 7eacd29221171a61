import { copyFile, lstat, mkdtemp, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { GitError, gitText, runGit } from './git.ts';

export interface Snapshot {
  commit: string;
  /** Where the branch stood; `undefined` before its first commit. */
  head: string | undefined;
  /** Whether anything differs from `head`. */
  isDirty: boolean;
  /** Whether the commit is without its history, since the repository does not have it all (a shallow or filtered clone). */
  isPartial: boolean;
}

/** A new file of this size is more likely a mistake than part of the program: 100 MiB. */
export const MAX_NEW_FILE_BYTES = 100 * 1024 ** 2;

/**
 * The folder of the working tree that `cwd` is in.
 * @throws CodedError `cli.not_a_repository`
 */
export async function findRepository(cwd: string): Promise<string> {
  try {
    return await gitText(['rev-parse', '--show-toplevel'], { cwd });
  } catch (cause) {
    if (!(cause instanceof GitError)) throw cause;
    throw new CodedError('cli.not_a_repository', `${cwd} is not in the working tree of a git repository: ${cause.reason}`, {
      next: 'git init',
      cause,
    });
  }
}

/**
 * Makes a commit of the working tree as it is: uncommitted changes and new files are in it, ignored files are not. It is built
 * with an index of its own; HEAD, the person's index and their files stay as they are, and no ref points to it. The same tree
 * on the same HEAD gives the same commit, and a clean tree gives HEAD itself.
 *
 * @throws CodedError `snapshot.failed` with what git said, or naming a new file that is too large
 */
export async function takeSnapshot(root: string): Promise<Snapshot> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'helix-index-'));
  try {
    return await withIndex(root, path.join(scratch, 'index'));
  } catch (cause) {
    if (!(cause instanceof GitError)) throw cause;
    throw new CodedError('snapshot.failed', `the working tree ${root} cannot be read: ${cause.reason}`, { next: 'git status', cause });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function withIndex(root: string, index: string): Promise<Snapshot> {
  const env = { GIT_INDEX_FILE: index };
  const here = { cwd: root, env };
  await refuseLargeNewFiles(root);
  const ownIndex = path.resolve(root, await gitText(['rev-parse', '--git-path', 'index'], { cwd: root }));
  // With the person's index as a start, git need not read files that did not change. Before the first `git add` there is none.
  await copyIndex(ownIndex, index).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await runGit(['-c', 'advice.addEmbeddedRepo=false', 'add', '--all', '--', '.'], here);
  const tree = await gitText(['write-tree'], here);
  const isPartial = await lacksHistory(root);
  const head = await gitText(['rev-parse', '--verify', '--quiet', 'HEAD'], here).catch(() => undefined);
  if (head === undefined) return { commit: await commitTree(tree, [], '0', root), head, isDirty: true, isPartial };

  const [headTree = '', headSeconds = '0'] = (await gitText(['show', '--no-patch', '--format=%T %ct', head], here)).split(' ');
  const isDirty = tree !== headTree;
  // Its parents, or their files, are not here; what is sent must be whole without them.
  const commit = isPartial
    ? await commitTree(tree, [], headSeconds, root)
    : isDirty
      ? await commitTree(tree, [head], headSeconds, root)
      : head;
  return { commit, head, isDirty, isPartial };
}

/**
 * Copies an index as old as it is. Git reads those files anew that changed in the moment in which their index was written, since their time
 * does not tell; a copy that looks younger would make it believe that they are as they were.
 */
async function copyIndex(from: string, to: string): Promise<void> {
  const { mtimeMs } = await stat(from);
  await copyFile(from, to);
  const seconds = Math.floor(mtimeMs / 1000);
  await utimes(to, seconds, seconds);
}

async function lacksHistory(root: string): Promise<boolean> {
  if ((await gitText(['rev-parse', '--is-shallow-repository'], { cwd: root })) === 'true') return true;
  return gitText(['config', '--get', 'extensions.partialClone'], { cwd: root }).then(
    () => true,
    () => false,
  );
}

/** Author and time are fixed, so that equal content has an equal hash. */
function commitTree(tree: string, parents: string[], seconds: string, cwd: string): Promise<string> {
  const person = (role: 'AUTHOR' | 'COMMITTER') => ({
    [`GIT_${role}_NAME`]: 'HelixCode',
    [`GIT_${role}_EMAIL`]: 'helix@localhost',
    [`GIT_${role}_DATE`]: `@${seconds} +0000`,
  });
  return gitText(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', 'Working tree'], {
    cwd,
    env: { ...person('AUTHOR'), ...person('COMMITTER') },
  });
}

async function refuseLargeNewFiles(root: string): Promise<void> {
  const listing = await runGit(['ls-files', '--others', '--exclude-standard', '-z'], { cwd: root });
  for (const name of listing.toString().split('\0')) {
    if (name === '' || name.endsWith('/')) continue;
    const { size } = await lstat(path.join(root, name)).catch(() => ({ size: 0 }));
    if (size > MAX_NEW_FILE_BYTES)
      throw new CodedError(
        'snapshot.failed',
        `the new file ${name} has ${Math.round(size / 1024 ** 2)} MiB, more than a snapshot takes along`,
        {
          next: `echo ${JSON.stringify(`/${name}`)} >> .gitignore`,
          details: { file: name, bytes: size },
        },
      );
  }
}
