import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * Ends the daemons of all workers that the server of this data folder has on this machine; their jobs go on.
 * @returns the names of those that ran
 */
export async function stopLocalWorkers(dataFolder: string): Promise<string[]> {
  const program = fileURLToPath(new URL('../../worker/dist/helix-worker.cjs', import.meta.url));
  const folder = path.join(dataFolder, 'local');
  const stopped: string[] = [];
  for (const name of namesIn(folder)) {
    const home = path.join(folder, name);
    for (const host of namesIn(path.join(home, 'run'))) {
      for (const namespace of namesIn(path.join(home, 'run', host))) {
        const env = { ...process.env, HELIX_WORKER_HOME: home };
        const { stdout } = await promisify(execFile)(process.execPath, [program, 'stop', '--ns', namespace], { env });
        if (stdout.startsWith('stopped')) stopped.push(name);
      }
    }
  }
  return stopped;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
