import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  tokenStdin?: boolean;
  label?: readonly string[];
  folder?: string;
}

/** Becomes the worker's program: from here on there is one process, which may be killed and started again at will. */
export default async function workerJoin(this: HelixContext, flags: Flags, url = this.env.HELIX_SERVER_URL): Promise<void> {
  if (url === undefined || url === '')
    throw new CodedError('cli.bad_usage', 'name the URL of the server', {
      next: 'helix worker join https://helix.example.org --token-stdin',
    });
  if (process.execve === undefined)
    throw new CodedError('worker.platform_unsupported', `a machine with ${process.platform} cannot be a worker`, {
      next: 'helix worker join   (on Linux or macOS)',
    });
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../../../worker/build.ts', import.meta.url))]);
  const program = fileURLToPath(new URL('../../../worker/dist/helix-worker.cjs', import.meta.url));
  const env = {
    ...this.env,
    ...(flags.label && { WORKER_CAPABILITIES: flags.label.join() }),
    ...(flags.folder !== undefined && { HELIX_WORKER_HOME: flags.folder }),
  };
  process.execve(process.execPath, [process.execPath, program, 'join', url, ...(flags.tokenStdin ? ['--token-stdin'] : [])], env);
}
