import { lockOwner } from '../home/daemon-lock.ts';
import type { WorkerHome } from '../home/worker-home.ts';
import { readIfThere } from '../home/write-file.ts';

const END_WITHIN_MS = 5_000;

/** Ends the daemon; its jobs go on. @returns whether there was one */
export async function stopDaemon(home: WorkerHome): Promise<boolean> {
  const content = readIfThere(home.lockFile);
  const pid = content === undefined ? undefined : lockOwner(content);
  if (content === undefined || pid === undefined) return false;
  process.kill(pid, 'SIGTERM');
  for (const deadlineMs = performance.now() + END_WITHIN_MS; lockOwner(content) !== undefined; ) {
    if (performance.now() > deadlineMs) process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
