import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { AgentBundle } from '../transports/worker-transport.ts';

const WORKER_PACKAGE = resolve(import.meta.dirname, '..', '..', '..', '..', 'worker');

/** Has the worker's one file made, which takes no time where it is newer than its sources. */
export async function buildAgentBundle(): Promise<AgentBundle> {
  await promisify(execFile)(process.execPath, [join(WORKER_PACKAGE, 'build.ts')]);
  const { hash } = JSON.parse(await readFile(join(WORKER_PACKAGE, 'dist', 'helix-worker.json'), 'utf8')) as { hash: string };
  return { path: join(WORKER_PACKAGE, 'dist', 'helix-worker.cjs'), hash };
}
