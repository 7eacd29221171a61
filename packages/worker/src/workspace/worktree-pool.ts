import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isDiskFull } from '../home/disk-space.ts';
import { isErrno, readIfThere, replaceFile } from '../home/write-file.ts';
import type { JobFolder } from '../jobs/job-folder.ts';
import { folderSize } from './folder-size.ts';
import type { Git } from './git.ts';
import { msSinceUse, noteUse, type Removed } from './last-use.ts';
import type { RepoCache } from './repo-cache.ts';

/** What is known of a working tree between jobs. */
export interface TreeRecord {
  commit?: string;
  /** The set-up whose outputs are in it, untouched since. */
  setup?: { key: string; outputs: string[] };
}

/** What a tree is to hold. */
export interface WantedTree {
  project: string;
  commit: string;
  /** Of the set-up whose outputs may stay. */
  setupKey: string | undefined;
  signal: AbortSignal;
  /** Marks the processes of this work, so that the next daemon can end them. */
  env: Record<string, string>;
}

/** So many paths can be named to `git clean` as not to be touched. */
const KEPT_PATHS_LIMIT = 1_000;

/**
 * Working trees that jobs take and give back. Taking one over costs git only what differs; making one costs a file for
 * every file.
 */
export class WorktreePool {
  readonly #folder: string;
  readonly #git: Git;
  readonly #repos: RepoCache;
  readonly #leases = new Set<string>();
  readonly #leasedBefore: () => string[];
  #isRestored = false;

  /** @param leasedBefore trees that jobs of the daemon before this one hold */
  constructor(folder: string, git: Git, repos: RepoCache, leasedBefore: () => string[]) {
    this.#folder = folder;
    this.#git = git;
    this.#repos = repos;
    this.#leasedBefore = leasedBefore;
  }

  warmProjects(): string[] {
    return existsSync(this.#folder) ? readdirSync(this.#folder) : [];
  }

  /**
   * Gives the job a working tree that nobody else holds, for choice one with the same commit or set-up.
   * A job that has one already (its daemon ended while it prepared) keeps it.
   */
  lease(job: JobFolder, project: string, commit: string, setupKey: string | undefined): string {
    this.#restoreLeases();
    const held = job.readLease();
    if (held) {
      this.#leases.add(held);
      return held;
    }
    const score = (record: TreeRecord): number => (record.setup?.key === setupKey ? 2 : 0) + (record.commit === commit ? 1 : 0);
    const projectFolder = join(this.#folder, project);
    mkdirSync(projectFolder, { recursive: true, mode: 0o700 });
    const numbers = readdirSync(projectFolder).flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []));
    const idle = numbers.map((number) => join(projectFolder, String(number))).filter((tree) => !this.#leases.has(tree));
    const [best] = idle.map((tree) => ({ tree, score: score(this.readRecord(tree)) })).sort((a, b) => b.score - a.score);
    const tree = best?.tree ?? this.#newTree(projectFolder, numbers);
    this.#leases.add(tree);
    try {
      job.writeLease(tree);
    } catch (error) {
      this.#leases.delete(tree);
      throw error;
    }
    return tree;
  }

  release(job: JobFolder): void {
    const tree = job.readLease();
    if (!tree) return;
    noteUse(`${tree}.json`);
    job.removeLease();
    this.#leases.delete(tree);
  }

  /**
   * Makes a tree hold the commit and nothing else, except the outputs of its set-up when that is the one wanted.
   * A tree in which that fails is made anew, and if need be the repository too.
   *
   * @param fetch brings the commit here again after the repository was thrown away
   */
  async checkOut(tree: string, wanted: WantedTree, fetch: () => Promise<void>): Promise<void> {
    const { project, signal } = wanted;
    try {
      if (existsSync(join(tree, '.git'))) return await this.#reuse(tree, wanted);
    } catch (error) {
      signal.throwIfAborted();
      await this.#clearIfFull(tree, error);
    }
    try {
      await this.#make(tree, wanted);
    } catch (error) {
      signal.throwIfAborted();
      await this.#clearIfFull(tree, error);
      const prefix = join(this.#folder, project, '/');
      const isShared = [...this.#leases].some((other) => other !== tree && other.startsWith(prefix));
      if (isShared) throw error;
      this.#repos.discard(project);
      await fetch();
      await this.#make(tree, wanted);
    }
  }

  /**
   * Removes trees that no job has held for so long.
   *
   * @param dryRun only finds them
   * @returns also the projects that still have a tree
   */
  async tidy(unusedMs: number, dryRun: boolean): Promise<{ removed: Removed[]; projectsInUse: Set<string> }> {
    this.#restoreLeases();
    const removed: Removed[] = [];
    const projectsInUse = new Set([...this.#leases].map((tree) => basename(dirname(tree))));
    for (const project of this.warmProjects()) {
      for (const name of readdirSync(join(this.#folder, project))) {
        const tree = join(this.#folder, project, name);
        if (!/^\d+$/.test(name) || this.#leases.has(tree)) continue;
        const sinceMs = msSinceUse(existsSync(`${tree}.json`) ? `${tree}.json` : tree);
        if (sinceMs === undefined) continue;
        if (sinceMs < unusedMs) projectsInUse.add(project);
        else {
          // Nobody is given it while it is measured and removed.
          this.#leases.add(tree);
          try {
            removed.push({ bytes: await folderSize(tree), unusedMs: sinceMs });
            if (!dryRun) {
              await rm(tree, { recursive: true, force: true, maxRetries: 5 });
              rmSync(`${tree}.json`, { force: true });
            }
          } finally {
            this.#leases.delete(tree);
          }
        }
      }
      // A project without a tree is not warm any more; a folder that is not empty stays.
      if (!dryRun && !projectsInUse.has(project)) removeIfEmpty(join(this.#folder, project));
    }
    return { removed, projectsInUse };
  }

  readRecord(tree: string): TreeRecord {
    const text = readIfThere(`${tree}.json`);
    try {
      return text === undefined ? {} : (JSON.parse(text) as TreeRecord);
    } catch {
      return {};
    }
  }

  writeRecord(tree: string, record: TreeRecord): void {
    replaceFile(`${tree}.json`, JSON.stringify(record));
  }

  #restoreLeases(): void {
    if (this.#isRestored) return;
    this.#isRestored = true;
    for (const tree of this.#leasedBefore()) this.#leases.add(tree);
  }

  /** Half a checkout is of no use, and on a full disk it is in the way. */
  async #clearIfFull(tree: string, error: unknown): Promise<void> {
    if (!isDiskFull(error)) return;
    await rm(tree, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }

  async #reuse(tree: string, { commit, setupKey, ...run }: WantedTree): Promise<void> {
    const record = this.readRecord(tree);
    const isSameSetup = setupKey !== undefined && record.setup?.key === setupKey;
    const kept = isSameSetup ? (record.setup?.outputs ?? []) : [];
    // A name with a line end cannot be written as a pattern: then everything goes, and is set up again.
    const canKeep = kept.length <= KEPT_PATHS_LIMIT && !kept.some((path) => path.includes('\n'));
    const setup = isSameSetup && canKeep ? record.setup : undefined;
    this.writeRecord(tree, setup ? { setup } : {});
    rmSync(join(await this.#gitFolder(tree), 'index.lock'), { force: true });
    await this.#git.run(['checkout', '--quiet', '--detach', '--force', commit], { cwd: tree, signal: run.signal, env: run.env });
    const keep = (setup?.outputs ?? []).flatMap((path) => ['-e', `/${asPattern(path)}`]);
    await this.#git.run(['clean', '--quiet', '-ffdx', ...keep], { cwd: tree, signal: run.signal, env: run.env });
    this.writeRecord(tree, setup ? { commit, setup } : { commit });
  }

  async #make(tree: string, { project, commit, ...run }: WantedTree): Promise<void> {
    this.writeRecord(tree, {});
    await rm(tree, { recursive: true, force: true, maxRetries: 5 });
    await this.#repos.exclusively(project, async () => {
      const repo = this.#repos.pathOf(project);
      await this.#git.run(['-C', repo, 'worktree', 'prune'], { signal: run.signal, env: run.env });
      // Twice: a git that was killed while it made this tree has left it locked, and the tree is this job's alone.
      await this.#git.run(['-C', repo, 'worktree', 'add', '--quiet', '--force', '--force', '--detach', '--no-checkout', tree, commit], {
        signal: run.signal,
        env: run.env,
      });
    });
    await this.#git.run(['checkout', '--quiet', '--detach', '--force', commit], { cwd: tree, signal: run.signal, env: run.env });
    this.writeRecord(tree, { commit });
  }

  async #gitFolder(tree: string): Promise<string> {
    const { stdout } = await this.#git.run(['rev-parse', '--absolute-git-dir'], { cwd: tree });
    return stdout.toString('utf8').trimEnd();
  }

  #newTree(projectFolder: string, numbers: readonly number[]): string {
    const taken = new Set([
      ...numbers,
      ...[...this.#leases]
        .filter((tree) => tree.startsWith(`${projectFolder}/`))
        .map((tree) => Number(tree.slice(projectFolder.length + 1))),
    ]);
    let number = 1;
    while (taken.has(number)) number++;
    return join(projectFolder, String(number));
  }
}

/** Writes a path so that a gitignore pattern means it and nothing else. */
function asPattern(path: string): string {
  return path.replaceAll(/[\\*?[\]!# ]/g, (character) => `\\${character}`);
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}
