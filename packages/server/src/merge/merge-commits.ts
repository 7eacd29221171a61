import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { MergeConflict } from '@helixcode/protocol/merge/merge-view';
import { type Git, GitError } from '../projects/git.ts';
import { readConflicts } from './read-conflicts.ts';

export type Merge =
  /** Nothing of it is missing in `onto`. */
  | { is: 'contained' }
  | { is: 'clean'; tree: string }
  /** `tree`: what came out, with marks where they differ. */
  | { is: 'conflict'; tree: string; conflicts: MergeConflict[]; more: number }
  /** They have no common beginning. */
  | { is: 'unrelated' };

/** Both sides and their common beginning are shown of a place that differs. */
const SETTINGS = ['-c', 'merge.conflictStyle=diff3', '-c', 'merge.renames=true'];

/**
 * Merges a commit onto another one, by three versions, in a bare repository: no files are checked out, no ref is moved. The common
 * beginning is the newest commit that both have in their histories.
 *
 * @throws GitError when git cannot do it: a commit that is not there, a git older than 2.38
 */
export async function mergeCommits(git: Git, gitDir: string, onto: string, commit: string): Promise<Merge> {
  const at = `--git-dir=${gitDir}`;
  const ancestry = await runToEnd(git, [at, 'merge-base', '--is-ancestor', commit, onto], [0, 1]);
  if (ancestry.exitCode === 0) return { is: 'contained' };
  const base = await runToEnd(git, [at, 'merge-base', onto, commit], [0, 1]);
  if (base.exitCode === 1) return { is: 'unrelated' };

  const { exitCode, stdout } = await withAttributes(git, gitDir, onto, (attributes) =>
    runToEnd(
      git,
      [at, ...SETTINGS, '-c', `core.attributesFile=${attributes}`, 'merge-tree', '--write-tree', '--messages', '-z', onto, commit],
      [0, 1],
    ),
  );
  const [tree = ''] = stdout.toString().split('\0');
  if (exitCode === 1) return { is: 'conflict', tree, ...(await readConflicts(git, gitDir, stdout.toString(), { onto, commit })) };
  const known = await git.text([at, 'rev-parse', '--verify', '--end-of-options', `${onto}^{tree}`]);
  return tree === known ? { is: 'contained' } : { is: 'clean', tree };
}

/**
 * What the `.gitattributes` at the root says of merging (`merge=union`, `-merge`, `binary`) holds here as in a checkout: in a bare
 * repository git reads it from a file only.
 */
async function withAttributes<T>(git: Git, gitDir: string, commit: string, use: (file: string) => Promise<T>): Promise<T> {
  let attributes: Buffer;
  try {
    attributes = await git.run([`--git-dir=${gitDir}`, 'cat-file', 'blob', `${commit}:.gitattributes`]);
  } catch (error) {
    if (error instanceof GitError) return use('/dev/null');
    throw error;
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'helix-merge-'));
  try {
    const file = path.join(folder, 'attributes');
    await writeFile(file, attributes);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface MergedChange {
  tree: string;
  onto: string;
  /** First line of the message. */
  title: string;
  /** The task that owns the change: its trailer. */
  task: string;
  at: Date;
}

/** Author and committer of what the queue makes. */
const NAME = 'helix';
const EMAIL = 'helix@localhost';

/** Makes the one commit of a change. The same change makes the same commit, however often it is made. */
export function commitMerged(git: Git, gitDir: string, { tree, onto, title, task, at }: MergedChange): Promise<string> {
  const date = `@${Math.floor(at.getTime() / 1000)} +0000`;
  return git.text(
    [`--git-dir=${gitDir}`, '-c', 'i18n.commitEncoding=UTF-8', '-c', 'commit.gpgSign=false', 'commit-tree', tree, '-p', onto],
    {
      stdin: `${title}\n\nHelix-Task: ${task}\n`,
      env: {
        GIT_AUTHOR_NAME: NAME,
        GIT_AUTHOR_EMAIL: EMAIL,
        GIT_AUTHOR_DATE: date,
        GIT_COMMITTER_NAME: NAME,
        GIT_COMMITTER_EMAIL: EMAIL,
        GIT_COMMITTER_DATE: date,
      },
    },
  );
}

/** For what tells something by its status, with its output. @param expected other statuses are faults */
async function runToEnd(git: Git, args: string[], expected: readonly number[]): Promise<{ exitCode: number; stdout: Buffer }> {
  const child = git.start(args);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
  child.stdin.on('error', () => {});
  child.stdin.end();
  const exitCode = await new Promise<number | undefined>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? undefined));
  });
  if (exitCode === undefined || !expected.includes(exitCode))
    throw new GitError(
      args.filter((arg) => !/^-|=/.test(arg)),
      exitCode,
      Buffer.concat(stderr).toString(),
    );
  return { exitCode, stdout: Buffer.concat(stdout) };
}
