import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { isDiskFull } from '../home/disk-space.ts';
import { folderSize } from './folder-size.ts';
import type { Git } from './git.ts';
import { msSinceUse, noteUse, type Removed } from './last-use.ts';
import { OneAtATime } from './one-at-a-time.ts';
import { ProgramFailed } from './run-program.ts';
import type { UploadPackTunnels } from './upload-pack-tunnels.ts';

/** So many commits stay pinned for the sake of small fetches, beyond those that are checked out. */
const PINNED_COMMITS = 64;

/** A bare repository per project, holding the commits that jobs asked for. */
export class RepoCache {
  readonly #folder: string;
  readonly #git: Git;
  readonly #tunnels: UploadPackTunnels;
  readonly #perProject = new OneAtATime();

  constructor(folder: string, git: Git, tunnels: UploadPackTunnels) {
    this.#folder = folder;
    this.#git = git;
    this.#tunnels = tunnels;
  }

  pathOf(project: string): string {
    return join(this.#folder, `${project}.git`);
  }

  /**
   * Makes sure that a commit with all its files is here. Only what is missing travels: the tree of the commit without
   * its history, and of that what no pinned commit has.
   *
   * @throws CodedError `workspace.failed`; the abort's reason
   */
  async ensureCommit(project: string, commit: string, signal: AbortSignal): Promise<void> {
    noteUse(this.pathOf(project));
    if (this.#has(project, commit)) return;
    // One after the other: who waited for a fetch of the same commit finds it.
    await this.#perProject.run(project, async () => {
      signal.throwIfAborted();
      if (this.#has(project, commit)) return;
      await this.#initialise(project, commit);
      await this.#fetch(project, commit, signal);
      this.#unpinOldest(project);
    });
  }

  /** Runs git commands that change what the repository knows of its working trees. */
  exclusively<T>(project: string, work: () => Promise<T>): Promise<T> {
    return this.#perProject.run(project, work);
  }

  /** Throws a damaged repository away; the next job fetches it anew. */
  discard(project: string): void {
    rmSync(this.pathOf(project), { recursive: true, force: true });
  }

  /**
   * Removes repositories that no job has asked for a commit of for so long, and of which no tree is checked out.
   * @param dryRun only finds them
   */
  async tidy(unusedMs: number, inUse: ReadonlySet<string>, dryRun: boolean): Promise<Removed[]> {
    const removed: Removed[] = [];
    for (const name of existsSync(this.#folder) ? readdirSync(this.#folder) : []) {
      const project = name.replace(/\.git$/, '');
      if (inUse.has(project) || !name.endsWith('.git')) continue;
      await this.exclusively(project, async () => {
        const bytes = await folderSize(this.pathOf(project));
        // Looked at as the last, with nothing to wait for until it is gone.
        const sinceMs = msSinceUse(this.pathOf(project));
        if (sinceMs === undefined || sinceMs < unusedMs) return;
        removed.push({ bytes, unusedMs: sinceMs });
        if (!dryRun) this.discard(project);
      });
    }
    return removed;
  }

  /** The pin is set after the commit is complete, so it vouches for the files too. */
  #has(project: string, commit: string): boolean {
    return existsSync(join(this.#pinsFolder(project), commit));
  }

  #pinsFolder(project: string): string {
    return join(this.pathOf(project), 'refs', 'helix', 'commits');
  }

  async #initialise(project: string, commit: string): Promise<void> {
    if (existsSync(join(this.pathOf(project), 'HEAD'))) return;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const format = commit.length === 64 ? 'sha256' : 'sha1';
    // Beside its place: half a repository must not be taken for one.
    const draft = `${this.pathOf(project)}.new`;
    rmSync(draft, { recursive: true, force: true });
    await this.#git.run(['init', '--quiet', '--bare', `--object-format=${format}`, draft]);
    rmSync(this.pathOf(project), { recursive: true, force: true });
    renameSync(draft, this.pathOf(project));
  }

  async #fetch(project: string, commit: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#removeLeftLocks(project);
      const tunnel = this.#tunnels.prepare(project, signal);
      try {
        await this.#git.run(
          [
            '-C',
            this.pathOf(project),
            'fetch',
            '--quiet',
            '--no-tags',
            '--no-write-fetch-head',
            '--depth=1',
            tunnel.url,
            `+${commit}:refs/helix/commits/${commit}`,
          ],
          { env: tunnel.environment, signal },
        );
        return;
      } catch (error) {
        this.#removeCutOffPacks(project);
        signal.throwIfAborted();
        if (tunnel.isLinkLost()) continue;
        if (isDiskFull(error) || !(error instanceof ProgramFailed)) throw error;
        throw new CodedError('workspace.failed', `commit ${commit} of project ${project} could not be fetched`, {
          next: 'see the details; if the commit is on the server, `helix tasks retry` fetches it again',
          details: { output: error.tail, ...(tunnel.failure() && { tunnel: tunnel.failure() }) },
          cause: error,
        });
      } finally {
        tunnel.end();
      }
    }
  }

  /**
   * A git that is killed, with its job or with its daemon, leaves its locks, and every later one would refuse to begin.
   * Only one at a time changes a repository: what is locked before it begins is locked by nobody.
   */
  #removeLeftLocks(project: string): void {
    for (const folder of [this.pathOf(project), this.#pinsFolder(project)])
      for (const name of existsSync(folder) ? readdirSync(folder) : [])
        if (name.endsWith('.lock')) rmSync(join(folder, name), { force: true });
  }

  /** git leaves what it had received when it is cut off; on a full disk that would be all there is. */
  #removeCutOffPacks(project: string): void {
    const folder = join(this.pathOf(project), 'objects', 'pack');
    for (const name of existsSync(folder) ? readdirSync(folder) : [])
      if (name.startsWith('tmp_')) rmSync(join(folder, name), { force: true });
  }

  /** What is checked out stays, whether it is pinned or not: git counts the heads of working trees as in use. */
  #unpinOldest(project: string): void {
    const folder = this.#pinsFolder(project);
    const pins = readdirSync(folder).filter((name) => /^[0-9a-f]+$/.test(name));
    if (pins.length <= PINNED_COMMITS) return;
    const byAge = pins.map((name) => ({ name, atMs: statSync(join(folder, name)).mtimeMs })).sort((a, b) => b.atMs - a.atMs);
    for (const { name } of byAge.slice(PINNED_COMMITS)) rmSync(join(folder, name), { force: true });
  }
}
