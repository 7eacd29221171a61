import { realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';

/**
 * @param root of the job's files
 * @param cwd relative to it
 * @throws CodedError `job.start_failed` where there is no such folder, or it is outside
 */
export function startFolderOf(root: string, cwd: string | undefined): string {
  if (cwd === undefined || cwd === '' || cwd === '.') return root;
  const folder = join(root, cwd);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new CodedError('job.start_failed', `there is no folder ${cwd} to start in`, { next: 'correct cwd of the task' });
  const real = realpathSync(folder);
  const realRoot = realpathSync(root);
  if (real !== realRoot && !real.startsWith(realRoot + sep))
    throw new CodedError('job.start_failed', `the folder ${cwd} to start in is outside of the checkout`, {
      next: 'correct cwd of the task',
    });
  return real;
}
