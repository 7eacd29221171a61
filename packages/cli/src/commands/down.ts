import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from '../helix-context.ts';
import { dataFolderOf, findServerProcess } from '../local-server.ts';
import { stopLocalWorkers } from '../local-workers.ts';

interface Flags {
  workers?: boolean;
}

const LOOK_AGAIN_MS = 20;
const END_WITHIN_MS = 30_000;

export default async function down(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const dataFolder = dataFolderOf(this);
  const server = findServerProcess(dataFolder);
  if (server) {
    process.kill(server.pid, 'SIGTERM');
    const deadlineMs = performance.now() + END_WITHIN_MS;
    while (findServerProcess(dataFolder)?.pid === server.pid) {
      if (performance.now() > deadlineMs)
        throw new CodedError('server.stop_failed', `the server (pid ${server.pid}) did not end within ${END_WITHIN_MS / 1_000} s`, {
          next: `kill -9 ${server.pid}`,
        });
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
  const workers = flags.workers ? await stopLocalWorkers(dataFolder) : [];
  if (out.format !== 'text') return out.json({ stopped: server !== undefined, ...(server && { pid: server.pid }), workers });
  out.note(server ? `the server (pid ${server.pid}) is stopped` : `no server runs in ${dataFolder}`);
  for (const name of workers) out.note(`the worker daemon ${name} is stopped`);
  if (server && !flags.workers) out.hint('jobs on workers go on; `helix up` picks up what they did');
}
