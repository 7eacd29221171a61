import { realpathSync } from 'node:fs';
import { CodedError } from '@helixcode/protocol/errors';
import { type WorkspaceAnswers, type WorkspaceOp, workspaceOp } from '@helixcode/protocol/worker/workspace';
import type { Commands } from '../commands/commands.ts';
import { diskFullError, isDiskFull } from '../home/disk-space.ts';
import type { Job } from '../jobs/job.ts';
import type { JobTable } from '../jobs/job-table.ts';
import type { Git } from '../workspace/git.ts';
import { OneAtATime } from '../workspace/one-at-a-time.ts';
import { readWorkspaceFile, removeWorkspaceFile, writeWorkspaceFile } from './files.ts';
import { listFiles } from './list-files.ts';
import { searchFiles } from './search-files.ts';
import { treeHash } from './tree-hash.ts';

/** Does what the server asks for in the checkouts of running jobs. */
export class WorkspaceDesk {
  readonly #jobs: JobTable;
  readonly #commands: Commands;
  readonly #git: Git;
  readonly #hashing = new OneAtATime();

  constructor(jobs: JobTable, commands: Commands, git: Git) {
    this.#jobs = jobs;
    this.#commands = commands;
    this.#git = git;
  }

  /**
   * @param text the JSON of a `workspaceOp`
   * @throws CodedError as the op does; `workspace.gone` where the job is not here, or over
   */
  async answer(attempt: string, text: string): Promise<WorkspaceAnswers[WorkspaceOp['do']]> {
    const op = workspaceOp.parse(JSON.parse(text));
    const job = this.#jobs.find(attempt);
    if (!job) throw new CodedError('workspace.gone', `attempt ${attempt} is not on this worker`);
    // Asked of one that is over too: what its commands did is still to be learned.
    if (op.do === 'outcome') return this.#commands.outcome(job, op.id);
    if (!job.isAtWork) {
      job.refresh();
      if (!job.isAtWork) throw notAtWork(job);
    }
    try {
      return await this.#do(job, op);
    } catch (error) {
      if (isDiskFull(error)) throw diskFullError(job.root, error);
      throw error;
    }
  }

  async #do(job: Job, op: Exclude<WorkspaceOp, { do: 'outcome' }>): Promise<WorkspaceAnswers[WorkspaceOp['do']]> {
    const root = realpathSync.native(job.root);
    switch (op.do) {
      case 'locate':
        return { root };
      case 'read': {
        const { bytes, hash } = readWorkspaceFile(root, op.path, op.maxBytes);
        return { bytes: bytes.toString('base64'), hash };
      }
      case 'write':
        return { hash: writeWorkspaceFile(root, job.folder.path, op.path, Buffer.from(op.bytes, 'base64'), op.expected) };
      case 'remove':
        removeWorkspaceFile(root, op.path, op.expected);
        return {};
      case 'list':
        return listFiles(this.#checkoutGit(job), root, op);
      case 'search':
        return searchFiles(this.#checkoutGit(job), root, op);
      case 'tree_hash': {
        const git = this.#checkoutGit(job);
        return { hash: await this.#hashing.run(job.folder.attempt, () => treeHash(git, root, job.folder.path)) };
      }
      case 'run': {
        const { do: _, id, ...request } = op;
        return this.#commands.run(job, id, request);
      }
      case 'stop':
        await this.#commands.stop(job, op.id);
        return {};
    }
  }

  #checkoutGit(job: Job): Git {
    if (job.folder.readLease()) return this.#git;
    throw new CodedError('workspace.failed', `attempt ${job.folder.attempt} has no checkout, so that git knows nothing of its files`, {
      next: 'name a project and a commit',
    });
  }
}

function notAtWork(job: Job): CodedError {
  const { state } = job.report;
  const isEarly = state === 'assigned' || state === 'preparing';
  return new CodedError(
    isEarly ? 'workspace.failed' : 'workspace.gone',
    `attempt ${job.folder.attempt} is ${isEarly ? `still ${state}` : state === 'running' ? 'about to end' : state}: nothing can be done in its checkout`,
  );
}
