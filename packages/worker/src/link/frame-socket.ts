import type { Socket } from 'node:net';
import { encodeControl, encodeData, type Frame, FrameDecoder, type WorkerMessage } from '@helixcode/protocol/worker/frames';

/** Above this many unsent bytes, nothing that can wait is written. */
const BUSY_BYTES = 1024 * 1024;

/** A socket that speaks frames. */
export class FrameSocket {
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder();
  readonly #waiting: (() => void)[] = [];
  #isCorked = false;

  /** @param onFrames called with every piece's frames in order; what it throws goes to `onFault` */
  constructor(socket: Socket, onFrames: (frames: Frame[]) => void, onFault: (error: unknown) => void) {
    this.#socket = socket;
    socket.on('data', (chunk: Uint8Array) => {
      try {
        onFrames(this.#decoder.push(chunk));
      } catch (error) {
        onFault(error);
      }
    });
    socket.on('drain', () => this.#releaseWaiting());
    socket.on('close', () => this.#releaseWaiting());
  }

  get isOpen(): boolean {
    return this.#socket.writable;
  }

  get isBusy(): boolean {
    return this.#socket.writableLength > BUSY_BYTES;
  }

  send(message: WorkerMessage): void {
    this.#write(encodeControl(message));
  }

  sendData(ch: number, offset: number, bytes: Uint8Array): void {
    this.#write(encodeData(ch, offset, bytes));
  }

  /** Resolves when the other side has taken enough of what was sent, or is gone. */
  async room(): Promise<void> {
    while (this.isOpen && this.isBusy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Sends what was written, then closes. */
  end(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  /** What is said within one turn of the event loop leaves in one write. */
  #write(bytes: Uint8Array): void {
    if (!this.isOpen) return;
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  #releaseWaiting(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
