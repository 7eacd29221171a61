import { accessSync, constants, copyFileSync, createReadStream, existsSync, lstatSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '@helixcode/protocol/errors';
import {
  type CheckpointCause,
  type CheckpointHeader,
  type CheckpointLimits,
  LEFT_OUT_NAMES,
  type LeftOutFile,
} from '@helixcode/protocol/worker/checkpoint';
import { isErrno } from '../home/write-file.ts';
import type { JobFolder } from '../jobs/job-folder.ts';
import type { ServerTunnels } from '../link/server-tunnels.ts';
import { TunnelClosed } from '../link/tunnel-channel.ts';
import { PrivateGit } from '../sandbox/private-git.ts';
import type { Git } from './git.ts';
import type { RepoCache } from './repo-cache.ts';
import { ProgramFailed } from './run-program.ts';

/** A file that vanishes while git reads it ends git; a busy job gets so many tries. */
const TRIES = 4;

const IDENTITY = {
  GIT_AUTHOR_NAME: 'helix',
  GIT_AUTHOR_EMAIL: 'helix@localhost',
  GIT_COMMITTER_NAME: 'helix',
  GIT_COMMITTER_EMAIL: 'helix@localhost',
};

export interface CheckpointOrder {
  cause: CheckpointCause;
  request?: string;
  limits: CheckpointLimits;
  /** Hash of a tree that need not be brought. */
  known?: string;
}

/** What a snapshot held. */
export interface Recorded {
  /** Hash of the tree. */
  tree: string;
  /** What the checkout stood on. */
  head: string;
}

/** A snapshot of a checkout, ready to be sent. */
interface TakenCheckpoint {
  header: CheckpointHeader;
  bundle: string;
}

/**
 * Records working trees as commits, while jobs work in them. The commit is made through an index of its own: the job's
 * branch, its index and its files stay as they are. Untracked files are in it, ignored ones are not.
 */
export class Checkpoints {
  readonly #git: Git;
  readonly #repos: RepoCache;
  readonly #tunnels: ServerTunnels;

  constructor(git: Git, repos: RepoCache, tunnels: ServerTunnels) {
    this.#git = git;
    this.#repos = repos;
    this.#tunnels = tunnels;
  }

  /**
   * Takes a snapshot and brings it to the server, over as many links as that needs.
   *
   * @param tree the job's checkout
   * @param commit what the checkout began as: the server has it
   * @param known the snapshot before, which is not sent twice by the clock
   * @returns what it held; `undefined` when nothing has changed since `known`, or nothing but the files, to what the order says is known
   * @throws CodedError `checkpoint.failed`
   */
  async record(
    job: JobFolder,
    place: { tree: string; commit: string; known: Recorded | undefined },
    order: CheckpointOrder,
    signal: AbortSignal,
  ): Promise<Recorded | undefined> {
    const index = join(job.path, 'checkpoint.index');
    const bundle = join(job.path, 'checkpoint.bundle');
    const ref = `refs/helix/checkpoints/${job.attempt}`;
    const privateGit = PrivateGit.find(job.sandboxFolder);
    let isReferred = true;
    try {
      const within = AbortSignal.timeout(order.limits.maxMs);
      const taken = await this.#take({ ...place, index, bundle, ref, privateGit }, order, AbortSignal.any([signal, within])).catch(
        (error) => {
          if (!within.aborted || signal.aborted) throw error;
          throw new CodedError('checkpoint.failed', `the snapshot took longer than ${order.limits.maxMs} ms and was given up`);
        },
      );
      if (!taken) {
        isReferred = false;
        return undefined;
      }
      await this.#send(job.attempt, taken.header, taken.bundle, signal);
      return taken.recorded;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CodedError) throw error;
      const reason = error instanceof ProgramFailed ? error.tail.trim() : error instanceof Error ? error.message : String(error);
      throw new CodedError('checkpoint.failed', `the checkout could not be recorded: ${reason}`, { cause: error });
    } finally {
      for (const path of [index, `${index}.lock`, bundle, `${bundle}.lock`]) rmSync(path, { force: true });
      if (isReferred)
        await this.#git.run(['update-ref', '-d', ref], { cwd: place.tree, env: privateGit?.environment(place.tree) ?? {} }).catch(() => {});
    }
  }

  /**
   * Puts the files of a checkpoint over a checkout that stands on the commit which the checkpoint stands on. What the
   * checkpoint did not record is not touched.
   */
  async restore(tree: string, commit: string, signal: AbortSignal, env: Record<string, string>): Promise<void> {
    const { stdout } = await this.#git.run(['diff-tree', '-r', '-z', '--name-only', '--no-renames', 'HEAD', commit], {
      cwd: tree,
      signal,
      env,
    });
    if (stdout.length === 0) return;
    await this.#git.run(
      ['--literal-pathspecs', 'restore', '--quiet', `--source=${commit}`, '--worktree', '--pathspec-from-file=-', '--pathspec-file-nul'],
      { cwd: tree, signal, env, input: stdout },
    );
  }

  /** Makes sure a checkpoint is here, and the commit it stands on. @returns that commit */
  async bring(project: string, commit: string, signal: AbortSignal): Promise<string> {
    await this.#repos.ensureCommit(project, commit, signal);
    // The raw object: to git's history the commit has no parent here, for it came without.
    const { stdout } = await this.#git.run(['-C', this.#repos.pathOf(project), 'cat-file', 'commit', commit], { signal });
    const parent = /^parent ([0-9a-f]+)$/m.exec(stdout.toString('utf8'))?.[1];
    if (parent === undefined) throw new CodedError('workspace.failed', `${commit} is not a checkpoint: it stands on no commit`);
    await this.#repos.ensureCommit(project, parent, signal);
    return parent;
  }

  async #take(
    place: {
      tree: string;
      commit: string;
      known: Recorded | undefined;
      index: string;
      bundle: string;
      ref: string;
      privateGit: PrivateGit | undefined;
    },
    order: CheckpointOrder,
    signal: AbortSignal,
  ): Promise<(TakenCheckpoint & { recorded: Recorded }) | undefined> {
    const begunMs = performance.now();
    const env = { GIT_INDEX_FILE: place.index, GIT_OPTIONAL_LOCKS: '0', ...IDENTITY, ...place.privateGit?.environment(place.tree) };
    const run = async (args: string[], input?: Buffer | string): Promise<string> => {
      const { stdout } = await this.#git.run(args, { cwd: place.tree, env, signal, ...(input !== undefined && { input }) });
      return stdout.toString('utf8');
    };
    const head = place.privateGit ? (place.privateGit.head() ?? place.commit) : await this.#copyOwnIndex(place, run);
    place.privateGit?.copyIndex(place.index);
    let leftOut: LeftOutFile[] = [];
    for (let tries = 1; ; tries++) {
      try {
        const changed = await run(['ls-files', '-z', '--modified', '--others', '--exclude-standard']);
        leftOut = choose(place.tree, new Set(changed.split('\0').filter((path) => path !== '')), order.limits);
        const paths = ['.', ...leftOut.map(({ path }) => `:(top,exclude,literal)${path.replace(/\/$/, '')}`)];
        await run(['add', '--all', '--pathspec-from-file=-', '--pathspec-file-nul'], paths.join('\0'));
        break;
      } catch (error) {
        if (!(error instanceof ProgramFailed) || tries === TRIES) throw error;
        rmSync(`${place.index}.lock`, { force: true });
      }
    }
    const hash = (await run(['write-tree'])).trim();
    if (hash === order.known && head === place.known?.head) return undefined;
    if (order.cause === 'interval' && hash === place.known?.tree) return undefined;
    const parent = await this.#standsOn(head, place.commit, run);
    const names = await run(['diff-tree', '-r', '-z', '--name-only', '--no-renames', parent, hash]);
    const commit = (await run(['commit-tree', '-p', parent, '-m', `checkpoint (${order.cause})`, hash])).trim();
    await run(['update-ref', place.ref, commit]);
    await run(['bundle', 'create', '--quiet', place.bundle, place.ref, `^${place.commit}`]);
    return {
      recorded: { tree: hash, head },
      bundle: place.bundle,
      header: {
        cause: order.cause,
        ...(order.request !== undefined && { request: order.request }),
        commit,
        files: names.split('\0').length - 1,
        bundleBytes: statSync(place.bundle).size,
        tookMs: Math.round(performance.now() - begunMs),
        leftOut: leftOut.slice(0, LEFT_OUT_NAMES),
        leftOutCount: leftOut.length,
      },
    };
  }

  /** @returns the commit that the checkout stands on */
  async #copyOwnIndex(place: { index: string }, run: (args: string[]) => Promise<string>): Promise<string> {
    const [gitFolder = '', head = ''] = (await run(['rev-parse', '--absolute-git-dir', 'HEAD'])).trimEnd().split('\n');
    copyIndex(join(gitFolder, 'index'), place.index);
    return head;
  }

  /** Commits of the job itself are kept below the snapshot, as long as they grew out of what the server gave. */
  async #standsOn(head: string, commit: string, run: (args: string[]) => Promise<string>): Promise<string> {
    if (head === commit) return commit;
    try {
      await run(['merge-base', '--is-ancestor', commit, head]);
      return head;
    } catch (error) {
      if (!(error instanceof ProgramFailed)) throw error;
      return commit;
    }
  }

  async #send(attempt: string, header: CheckpointHeader, bundle: string, signal: AbortSignal): Promise<void> {
    await this.#tunnels.overLinks(async () => {
      const channel = await this.#tunnels.open('checkpoint', attempt, signal);
      const kept = new Promise<void>((resolve, reject) => {
        channel
          .on('end', resolve)
          .on('error', reject)
          .on('close', () => reject(new TunnelClosed('closed before it was kept')));
        channel.resume();
      });
      async function* content(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(`${JSON.stringify(header)}\n`);
        yield* createReadStream(bundle);
      }
      try {
        await Promise.all([pipeline(Readable.from(content()), channel, { signal }), kept]);
      } catch (error) {
        if (error instanceof TunnelClosed)
          throw new CodedError('checkpoint.failed', `the server did not keep the checkpoint: ${error.message}`);
        throw error;
      }
    });
  }
}

/**
 * The copy tells git which files it need not read again. It must not look younger than the original: git distrusts
 * entries as young as their index, since a file may have been changed within the same tick.
 */
export function copyIndex(from: string, to: string): void {
  rmSync(to, { force: true });
  const { mtimeMs } = statSync(from);
  copyFileSync(from, to);
  const seconds = Math.floor(mtimeMs) / 1000;
  utimesSync(to, seconds, seconds);
}

/** @returns what stays out of the snapshot; of those within the limit of a file, the largest ones as far as needed */
function choose(tree: string, changed: ReadonlySet<string>, limits: CheckpointLimits): LeftOutFile[] {
  const leftOut: LeftOutFile[] = [];
  const files: { path: string; bytes: number }[] = [];
  for (const path of changed) {
    try {
      const stat = lstatSync(join(tree, path));
      if (stat.isDirectory()) {
        // Where a file became a folder, what is in the folder is listed by itself.
        if (existsSync(join(tree, path, '.git'))) leftOut.push({ path, bytes: 0, why: 'repository' });
        continue;
      }
      if (stat.isFile()) accessSync(join(tree, path), constants.R_OK);
      if (stat.size > limits.maxFileBytes) leftOut.push({ path, bytes: stat.size, why: 'too_large' });
      else files.push({ path, bytes: stat.size });
    } catch (error) {
      if (isErrno(error, 'EACCES')) leftOut.push({ path, bytes: 0, why: 'unreadable' });
      // Deleted: that is what is recorded of it.
      else if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
  let total = 0;
  for (const file of files.sort((a, b) => a.bytes - b.bytes)) {
    total += file.bytes;
    if (total > limits.maxBytes) leftOut.push({ ...file, why: 'no_room' });
  }
  return leftOut;
}
