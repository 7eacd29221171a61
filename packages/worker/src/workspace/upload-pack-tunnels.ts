import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { ServerTunnels } from '../link/server-tunnels.ts';

/** How git reaches the server once: it runs our `tunnel` command, which comes back to this daemon with the token. */
export interface UploadPackTunnel {
  /** For `git fetch`. */
  url: string;
  environment: Record<string, string>;
  /** Whether it ended because the link to the server broke: then the fetch is worth another go. */
  isLinkLost(): boolean;
  /** What the server said when it closed the tunnel. */
  failure(): string | undefined;
  end(): void;
}

interface Waiting {
  project: string;
  signal: AbortSignal;
  failure: unknown;
}

/** Joins the `tunnel` processes that git starts with tunnels to the server. */
export class UploadPackTunnels {
  readonly #tunnels: ServerTunnels;
  readonly #socketPath: string;
  readonly #command: readonly string[];
  readonly #waiting = new Map<string, Waiting>();

  /** @param command program and arguments that run this agent */
  constructor(tunnels: ServerTunnels, socketPath: string, command: readonly string[]) {
    this.#tunnels = tunnels;
    this.#socketPath = socketPath;
    this.#command = command;
  }

  prepare(project: string, signal: AbortSignal): UploadPackTunnel {
    const token = randomBytes(16).toString('hex');
    const waiting: Waiting = { project, signal, failure: undefined };
    this.#waiting.set(token, waiting);
    // Of an ext:: address git splits the words at blanks; a blank or percent sign inside a word is marked by a percent sign.
    const words = [...this.#command, 'tunnel', token].map((word) => word.replaceAll('%', '%%').replaceAll(' ', '% '));
    return {
      url: `ext::${words.join(' ')}`,
      environment: { HELIX_TUNNEL_SOCKET: this.#socketPath },
      isLinkLost: () => waiting.failure instanceof CodedError && waiting.failure.code === 'worker.link_lost',
      failure: () => (waiting.failure instanceof Error ? waiting.failure.message : undefined),
      end: () => this.#waiting.delete(token),
    };
  }

  /** @param socket of a process that said `tunnel <token>`; @param early what it sent after that line */
  async serve(socket: Socket, token: string, early: Uint8Array): Promise<void> {
    const waiting = this.#waiting.get(token);
    if (!waiting) {
      socket.destroy();
      return;
    }
    try {
      const channel = await this.#tunnels.open('upload-pack', waiting.project, waiting.signal);
      if (early.length > 0) channel.write(early);
      const abort = (): void => channel.abandon('cancelled');
      waiting.signal.addEventListener('abort', abort, { once: true });
      // Half-open: git says that it is done and still waits for the rest of the answer.
      await Promise.all([pipeline(socket, channel), pipeline(channel, socket)]);
    } catch (error) {
      waiting.failure ??= error;
      socket.destroy();
    }
  }
}
