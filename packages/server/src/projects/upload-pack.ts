import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { WorkerServices } from '../workers/job-book.ts';
import type { Mirrors } from './mirror.ts';

/**
 * Opens the mirrors to the workers: each call is one `git upload-pack`, in protocol version 2, which lists refs only when
 * asked and hands out any commit by its hash.
 */
export function createUploadPack(mirrors: Mirrors): WorkerServices['openUploadPack'] {
  return async (project) => {
    const gitDir = mirrors.folderOf(project as ProjectId);
    if (!/^prj_[0-9a-z]+$/.test(project) || !existsSync(gitDir))
      throw new CodedError('project.not_found', `there is no code of project ${project} on the server`, { next: 'helix projects list' });

    // A group of its own: upload-pack has a pack-objects below it that may be busy for long without noticing its end.
    const child = spawn('git', ['upload-pack', '--strict', gitDir], {
      env: { ...mirrors.git.env, GIT_PROTOCOL: 'version=2' },
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    child.on('error', (error) => child.stdout.destroy(error));
    // The end of the process is told by the end of its output; a write that comes too late is of no interest.
    child.stdin.on('error', () => {});
    return {
      input: child.stdin,
      output: child.stdout,
      close() {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
        try {
          process.kill(-child.pid, 'SIGKILL');
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
        }
      },
    };
  };
}
