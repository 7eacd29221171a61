import { mkdirSync, rmSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { diskFullError, isDiskFull } from '../home/disk-space.ts';
import type { WorkerHome } from '../home/worker-home.ts';
import type { JobWorkspaces } from '../jobs/job.ts';
import type { JobFolder } from '../jobs/job-folder.ts';
import { packArchive, unpackArchive } from './archive.ts';
import { type Blobs, hashFile } from './blobs.ts';
import type { CheckpointOrder, Checkpoints, Recorded } from './checkpoints.ts';
import type { RepoCache } from './repo-cache.ts';
import { ProgramFailed } from './run-program.ts';
import type { SetupCache } from './setup-cache.ts';
import type { WorktreePool } from './worktree-pool.ts';

/** Checkouts, what is put into them before a command, and what is taken out of them after it. */
export class Workspaces implements JobWorkspaces {
  readonly #home: WorkerHome;
  readonly #repos: RepoCache;
  readonly #pool: WorktreePool;
  readonly #setups: SetupCache;
  readonly #blobs: Blobs;
  readonly #checkpoints: Checkpoints;
  readonly #environment: Record<string, string>;

  constructor(parts: {
    home: WorkerHome;
    repos: RepoCache;
    pool: WorktreePool;
    setups: SetupCache;
    blobs: Blobs;
    checkpoints: Checkpoints;
    environment: Record<string, string>;
  }) {
    this.#home = parts.home;
    this.#repos = parts.repos;
    this.#pool = parts.pool;
    this.#setups = parts.setups;
    this.#blobs = parts.blobs;
    this.#checkpoints = parts.checkpoints;
    this.#environment = parts.environment;
  }

  warmProjects(): string[] {
    return this.#pool.warmProjects();
  }

  async prepare(folder: JobFolder, spec: JobSpec, environment: Record<string, string>, signal: AbortSignal): Promise<string> {
    try {
      const root = spec.workspace ? await this.#checkOut(folder, spec.workspace, environment, signal) : folder.workFolder;
      for (const blob of spec.inputs ?? []) await this.#unpackInput(folder, blob, root, signal);
      return root;
    } catch (error) {
      signal.throwIfAborted();
      if (isDiskFull(error)) throw diskFullError(this.#home.runFolder, error);
      if (error instanceof CodedError) throw error;
      throw new CodedError(
        'workspace.failed',
        `the checkout could not be made ready: ${error instanceof Error ? error.message : String(error)}`,
        {
          next: 'see the details, then `helix tasks retry`',
          details: error instanceof ProgramFailed ? { output: error.tail } : undefined,
          cause: error,
        },
      );
    }
  }

  async storeOutputs(folder: JobFolder, spec: JobSpec): Promise<{ blob?: string; reason?: ErrorFact }> {
    const root = folder.readLease() ?? folder.workFolder;
    const found = new Set<string>();
    const without: string[] = [];
    for (const pattern of spec.outputs ?? []) {
      const matches = await matchesOf(root, pattern);
      for (const path of matches) found.add(path);
      if (matches.length === 0) without.push(pattern);
    }
    const reason =
      without.length === 0
        ? undefined
        : new CodedError('build.output_missing', `the command ended well but made nothing that matches ${without.join(', ')}`, {
            details: { patterns: without },
          }).toFact();
    if (found.size === 0) return { ...(reason && { reason }) };
    const archive = join(folder.path, 'outputs.tar.zst');
    await packArchive(root, withoutNested(found), archive, { env: this.#environment });
    const blob = await hashFile(archive);
    await this.#blobs.put(blob, archive);
    rmSync(archive, { force: true });
    return { blob, ...(reason && { reason }) };
  }

  async recordCheckpoint(
    folder: JobFolder,
    spec: JobSpec,
    known: Recorded | undefined,
    order: CheckpointOrder,
    signal: AbortSignal,
  ): Promise<Recorded | undefined> {
    const tree = folder.readLease();
    if (!tree || !spec.workspace)
      throw new CodedError('checkpoint.refused', 'the job has no checkout, so that there is nothing to record', {
        next: 'name a project and a commit',
      });
    return this.#checkpoints.record(folder, { tree, commit: spec.workspace.commit, known }, order, signal);
  }

  release(folder: JobFolder): void {
    this.#pool.release(folder);
  }

  async #checkOut(
    folder: JobFolder,
    workspace: NonNullable<JobSpec['workspace']>,
    environment: Record<string, string>,
    signal: AbortSignal,
  ): Promise<string> {
    const { project, setup, restore } = workspace;
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(project))
      throw new CodedError('workspace.failed', `${JSON.stringify(project)} is not a project's id`);
    const setupKey = setup && (await this.#setups.keyOf(setup));
    await this.#repos.ensureCommit(project, workspace.commit, signal);
    const commit = restore ? await this.#checkpoints.bring(project, restore.commit, signal) : workspace.commit;
    const fetch = async (): Promise<void> => {
      await this.#repos.ensureCommit(project, commit, signal);
      if (restore) await this.#repos.ensureCommit(project, restore.commit, signal);
    };
    signal.throwIfAborted();
    const tree = this.#pool.lease(folder, project, commit, setupKey);
    await this.#pool.checkOut(tree, { project, commit, setupKey, signal, env: { HELIX_JOB: folder.attempt } }, fetch);
    if (setup) await this.#setups.materialise({ tree, commit, setup, environment: { ...environment, HELIX_JOB: folder.attempt }, signal });
    if (restore) await this.#checkpoints.restore(tree, restore.commit, signal, { HELIX_JOB: folder.attempt });
    return tree;
  }

  async #unpackInput(folder: JobFolder, blob: string, root: string, signal: AbortSignal): Promise<void> {
    const inputs = join(folder.path, 'inputs');
    mkdirSync(inputs, { recursive: true, mode: 0o700 });
    const archive = join(inputs, `${blob.replaceAll(/[^A-Za-z0-9_.-]/g, '_')}.tar.zst`);
    if (!(await this.#blobs.get(blob, archive, signal)))
      throw new CodedError('workspace.failed', `the input ${blob} is not on the server any more`, {
        next: 'run the task that makes it again',
      });
    await unpackArchive(archive, root, { env: this.#environment, signal });
    rmSync(archive, { force: true });
  }
}

/** @returns paths relative to the root; a folder stands for all that is in it */
async function matchesOf(root: string, pattern: string): Promise<string[]> {
  if (isAbsolute(pattern) || pattern.split('/').includes('..'))
    throw new CodedError('workspace.failed', `the outputs pattern ${pattern} leads out of the workspace`, { next: 'correct outputs' });
  const matches: string[] = [];
  for await (const path of glob(pattern.replace(/\/$/, ''), { cwd: root }))
    if (path !== '.git' && !path.startsWith('.git/')) matches.push(path);
  return matches;
}

/** What lies in a folder that is in the list comes with the folder. */
function withoutNested(paths: ReadonlySet<string>): string[] {
  const isInListedFolder = (path: string): boolean => {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) if (paths.has(path.slice(0, end))) return true;
    return false;
  };
  return [...paths].filter((path) => !isInListedFolder(path)).sort();
}
