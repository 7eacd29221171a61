import { CodedError } from '@helixcode/protocol/errors';
import type { TunnelService } from '@helixcode/protocol/worker/frames';
import type { FrameSocket } from './frame-socket.ts';
import { TunnelChannel } from './tunnel-channel.ts';

/** The way to the services of the server, over whichever link is up. */
export class ServerTunnels {
  #socket: FrameSocket | undefined;
  #nextChannel = 1;
  readonly #open = new Map<number, TunnelChannel>();
  readonly #waiting = new Set<() => void>();

  /** A new link is up; what ran over the one before is cut off. */
  linkUp(socket: FrameSocket): void {
    this.linkDown();
    this.#socket = socket;
    this.#nextChannel = 1;
    for (const go of this.#waiting) go();
    this.#waiting.clear();
  }

  linkDown(): void {
    this.#socket = undefined;
    for (const channel of this.#open.values()) channel.linkLost();
    this.#open.clear();
  }

  find(ch: number): TunnelChannel | undefined {
    return this.#open.get(ch);
  }

  /**
   * Waits for a link, then opens a tunnel. It fails with `worker.link_lost` when that link breaks: ask again.
   * @param signal gives the waiting up
   */
  async open(service: TunnelService, name: string, signal?: AbortSignal): Promise<TunnelChannel> {
    while (!this.#socket) await this.#nextLink(signal);
    signal?.throwIfAborted();
    const ch = this.#nextChannel;
    this.#nextChannel += 2;
    const channel = new TunnelChannel(this.#socket, ch);
    this.#open.set(ch, channel);
    channel.on('close', () => {
      if (this.#open.get(ch) === channel) this.#open.delete(ch);
    });
    channel.on('error', () => {}); // Whoever uses it listens too; nobody may have begun yet.
    this.#socket.send({ t: 'tunnel', ch, service, name });
    return channel;
  }

  /** Does something with tunnels, again and again until no link broke under it. */
  async overLinks<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof CodedError && error.code === 'worker.link_lost')) throw error;
      }
    }
  }

  async #nextLink(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        this.#waiting.delete(go);
        reject(signal?.reason as Error);
      };
      const go = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.add(go);
    });
  }
}
