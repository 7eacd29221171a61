import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { ServerTunnels } from '../link/server-tunnels.ts';
import { TunnelClosed } from '../link/tunnel-channel.ts';

/** Content that workers share through the server. A broken link only delays. */
export class Blobs {
  readonly #tunnels: ServerTunnels;

  constructor(tunnels: ServerTunnels) {
    this.#tunnels = tunnels;
  }

  /**
   * Waits while another worker produces the blob.
   * @returns false when nobody has it: for a set-up, this worker is then the one to produce it
   */
  async get(key: string, target: string, signal: AbortSignal): Promise<boolean> {
    const draft = `${target}.${process.pid}.tmp`;
    try {
      return await this.#tunnels.overLinks(async () => {
        const channel = await this.#tunnels.open('blob-get', key, signal);
        channel.end();
        try {
          await pipeline(channel, createWriteStream(draft, { mode: 0o600 }), { signal });
        } catch (error) {
          if (error instanceof TunnelClosed && error.message === 'absent') return false;
          if (error instanceof TunnelClosed)
            throw new CodedError('workspace.failed', `blob ${key} could not be had from the server: ${error.message}`);
          throw error;
        }
        renameSync(draft, target);
        return true;
      });
    } finally {
      rmSync(draft, { force: true });
    }
  }

  /** Resolves when the server has stored it. */
  async put(key: string, source: string, signal?: AbortSignal): Promise<void> {
    await this.#tunnels.overLinks(async () => {
      const channel = await this.#tunnels.open('blob-put', key, signal);
      const stored = new Promise<void>((resolve, reject) => {
        channel
          .on('end', resolve)
          .on('error', reject)
          .on('close', () => reject(new TunnelClosed('closed before it was stored')));
        channel.resume();
      });
      try {
        await Promise.all([pipeline(createReadStream(source), channel, { ...(signal && { signal }) }), stored]);
      } catch (error) {
        if (error instanceof TunnelClosed)
          throw new CodedError('workspace.failed', `blob ${key} could not be stored on the server: ${error.message}`);
        throw error;
      }
    });
  }

  /** Tells the server that this worker will not produce the blob after all, so that somebody else does. */
  async giveUp(key: string, reason: string): Promise<void> {
    const channel = await this.#tunnels.open('blob-put', key);
    channel.abandon(reason);
  }
}

/** @returns the sha256 of a file, in hex */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
