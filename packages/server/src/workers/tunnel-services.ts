import { pipeline } from 'node:stream/promises';
import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import type { TunnelService } from '@helixcode/protocol/worker/frames';
import type { WorkerServices } from './job-book.ts';
import type { Tunnel } from './tunnel.ts';

/** How the server says that the asker should make the blob itself. */
const ABSENT = 'absent';

/** Connects a tunnel with what the worker asked for, to its end. Errors go to the worker through the tunnel. */
export async function serveTunnel(
  services: WorkerServices,
  worker: WorkerId,
  service: TunnelService,
  name: string,
  tunnel: Tunnel,
): Promise<void> {
  const ended = new AbortController();
  tunnel.once('close', () => ended.abort());
  // Without a listener an error of the tunnel would end the process; it is handled where the tunnel is used.
  tunnel.on('error', () => {});
  try {
    switch (service) {
      case 'upload-pack':
        return await serveUploadPack(services, name, tunnel);
      case 'blob-get':
        return await serveBlob(services, worker, name, tunnel, ended.signal);
      case 'blob-put':
        await services.writeBlob(name, worker, tunnel);
        tunnel.end();
        return;
      case 'checkpoint':
        await services.storeCheckpoint(name as AttemptId, worker, tunnel);
        tunnel.end();
        return;
    }
  } catch (error) {
    tunnel.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

async function serveUploadPack(services: WorkerServices, project: string, tunnel: Tunnel): Promise<void> {
  const git = await services.openUploadPack(project);
  try {
    // Git may end its answer before it has read all it was sent: only the answer decides how it went.
    git.input.on('error', () => {
      tunnel.unpipe(git.input);
      tunnel.resume();
    });
    tunnel.pipe(git.input);
    await pipeline(git.output, tunnel);
  } finally {
    git.close();
  }
}

async function serveBlob(services: WorkerServices, worker: WorkerId, key: string, tunnel: Tunnel, signal: AbortSignal): Promise<void> {
  const content = await services.readBlob(key, worker, signal);
  if (!content) {
    tunnel.destroy(new Error(ABSENT));
    return;
  }
  tunnel.resume();
  await pipeline(content, tunnel);
}
