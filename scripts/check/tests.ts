import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { repository } from './tree.ts';

/** The tests pass. What the runner prints is shown as it comes. */
export async function checkTests(): Promise<string[]> {
  const runner = spawn(path.join(repository, 'node_modules/.bin/vitest'), ['run'], { cwd: repository, stdio: 'inherit' });
  const [exitCode, signal] = (await once(runner, 'exit')) as [number | null, NodeJS.Signals | null];
  return exitCode === 0 ? [] : [`vitest ended with ${exitCode ?? signal}: see above`];
}
