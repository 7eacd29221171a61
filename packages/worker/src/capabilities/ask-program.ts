import { execFile } from 'node:child_process';
import { lowerPriority } from '../jobs/launcher.ts';

const ANSWER_WITHIN_MS = 5_000;

/**
 * @param program name or path
 * @param path where to look for the name
 * @returns what it printed on stdout and stderr; `undefined` when it is missing, fails or does not answer in 5 s
 */
export function askProgram(
  program: string,
  args: readonly string[],
  path: string,
  options: { acceptsFailure?: boolean } = {},
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      [...args],
      {
        timeout: ANSWER_WITHIN_MS,
        killSignal: 'SIGKILL',
        maxBuffer: 1024 * 1024,
        cwd: '/',
        env: { PATH: path, HOME: process.env['HOME'] ?? '/', LC_ALL: 'C' },
      },
      (error, stdout, stderr) => {
        const hasRun = !error || (options.acceptsFailure && typeof error.code === 'number');
        resolve(hasRun ? `${stdout}${stderr}` : undefined);
      },
    );
    if (child.pid !== undefined) lowerPriority(child.pid);
    child.stdin?.end();
  });
}
