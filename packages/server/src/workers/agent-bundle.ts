import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { AgentBundle } from './transports/worker-transport.ts';

const WORKER_PACKAGE = join(import.meta.dirname, '../../../worker');

/** The worker's one file, made anew where a source is newer. The program that makes it is started, never imported. */
export async function readAgentBundle(): Promise<AgentBundle> {
  await promisify(execFile)(process.execPath, [join(WORKER_PACKAGE, 'build.ts')]);
  const { hash } = JSON.parse(await readFile(join(WORKER_PACKAGE, 'dist/helix-worker.json'), 'utf8')) as { hash: string };
  return { path: join(WORKER_PACKAGE, 'dist/helix-worker.cjs'), hash };
}
