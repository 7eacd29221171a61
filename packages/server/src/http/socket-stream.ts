import { Duplex } from 'node:stream';
import type { WebSocket } from '@fastify/websocket';

/** How long the other side may take to answer a goodbye. */
const GOODBYE_WITHIN_MS = 10_000;

/** The bytes of a WebSocket's binary messages, one after the other, as one stream; where a message ends means nothing. */
export class SocketStream extends Duplex {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      if (!this.push(data)) socket.pause();
    });
    socket.on('close', () => {
      // What nobody has begun to read would wait for a reader for ever.
      if (this.readableFlowing === null) this.destroy();
      else if (!this.destroyed) this.push(null);
    });
    // It closes by itself after an error; whoever reads sees the end.
    socket.on('error', () => {});
    this.on('error', () => {});
  }

  /**
   * Ends the connection with a status that means something to the other side.
   * @returns whether it heard that and closed in turn
   */
  async sayGoodbye(status: number, reason: string): Promise<boolean> {
    this.#socket.resume();
    const answered = new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), GOODBYE_WITHIN_MS);
      this.#socket.once('close', (code: number) => {
        clearTimeout(timer);
        resolve(code === status);
      });
    });
    this.#socket.close(status, reason);
    const hasHeard = await answered;
    this.destroy();
    return hasHeard;
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // A socket that is closed takes no more; that is no error of the stream, which ends by itself.
    this.#socket.send(chunk, () => done());
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: () => void): void {
    this.#socket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), () => done());
  }

  override _final(done: () => void): void {
    this.#socket.close();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.terminate();
    done(error);
  }
}
