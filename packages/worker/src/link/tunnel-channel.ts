import { Duplex } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { CHANNEL_WINDOW_BYTES, DATA_CHUNK_BYTES } from '@helixcode/protocol/worker/frames';
import type { FrameSocket } from './frame-socket.ts';

/** What the server said when it closed the channel of a tunnel. */
export class TunnelClosed extends Error {
  override readonly name = 'TunnelClosed';
}

/** A byte stream to a service of the server, in both directions, each with its own credit and its own end. */
export class TunnelChannel extends Duplex {
  readonly #socket: FrameSocket;
  readonly #ch: number;
  #sentBytes = 0;
  #ackedBytes = 0;
  #receivedBytes = 0;
  #isReceivedAckHeld = false;
  #hasReceivedEnd = false;
  #hasSentEnd = false;
  #isClosedByServer = false;
  #unsent: { bytes: Uint8Array; done: (error?: Error | null) => void } | undefined;

  constructor(socket: FrameSocket, ch: number) {
    super({ allowHalfOpen: true, readableHighWaterMark: 256 * 1024, writableHighWaterMark: 256 * 1024 });
    this.#socket = socket;
    this.#ch = ch;
  }

  /** @throws CodedError `worker.protocol_violation` when bytes are missing or repeated */
  receive(offset: number, bytes: Uint8Array): void {
    if (offset !== this.#receivedBytes || this.#hasReceivedEnd)
      throw new CodedError('worker.protocol_violation', `channel ${this.#ch} got offset ${offset} instead of ${this.#receivedBytes}`);
    this.#receivedBytes += bytes.length;
    if (this.destroyed) return;
    if (this.push(bytes)) this.#ackReceived();
    else this.#isReceivedAckHeld = true;
  }

  receiveEnd(): void {
    if (this.#hasReceivedEnd) return;
    this.#hasReceivedEnd = true;
    this.push(null);
  }

  ack(upto: number): void {
    this.#ackedBytes = Math.max(this.#ackedBytes, Math.min(upto, this.#sentBytes));
    this.#sendUnsent();
  }

  closedByServer(error: string | undefined): void {
    this.#isClosedByServer = true;
    this.destroy(error === undefined && this.#hasReceivedEnd ? undefined : new TunnelClosed(error ?? 'closed by the server'));
  }

  /** The link is gone, and every tunnel in it. */
  linkLost(): void {
    this.#isClosedByServer = true;
    this.destroy(new CodedError('worker.link_lost', 'the link to the server broke'));
  }

  /** Ends both directions and tells the server why. */
  abandon(error: string): void {
    if (!this.#isClosedByServer) this.#socket.send({ t: 'close', ch: this.#ch, error });
    this.#isClosedByServer = true;
    this.destroy();
  }

  override _read(): void {
    if (this.#isReceivedAckHeld) this.#ackReceived();
  }

  override _write(bytes: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#unsent = { bytes, done };
    this.#sendUnsent();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#hasSentEnd = true;
    this.#socket.send({ t: 'eof', ch: this.#ch });
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const isComplete = this.#hasReceivedEnd && this.#hasSentEnd;
    if (!this.#isClosedByServer && !isComplete) this.#socket.send({ t: 'close', ch: this.#ch, ...(error && { error: error.message }) });
    const unsent = this.#unsent;
    this.#unsent = undefined;
    unsent?.done(error ?? new Error('the tunnel was closed'));
    done(error);
  }

  #ackReceived(): void {
    this.#isReceivedAckHeld = false;
    this.#socket.send({ t: 'ack', ch: this.#ch, upto: this.#receivedBytes });
  }

  #sendUnsent(): void {
    for (let unsent = this.#unsent; unsent; unsent = this.#unsent) {
      const count = Math.min(unsent.bytes.length, DATA_CHUNK_BYTES, this.#ackedBytes + CHANNEL_WINDOW_BYTES - this.#sentBytes);
      if (count === 0 && unsent.bytes.length > 0) return;
      this.#socket.sendData(this.#ch, this.#sentBytes, unsent.bytes.subarray(0, count));
      this.#sentBytes += count;
      this.#unsent = count < unsent.bytes.length ? { bytes: unsent.bytes.subarray(count), done: unsent.done } : undefined;
      if (!this.#unsent) unsent.done();
    }
  }
}
