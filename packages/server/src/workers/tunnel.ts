import { Duplex } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { CHANNEL_WINDOW_BYTES, DATA_CHUNK_BYTES } from '@helixcode/protocol/worker/frames';
import type { FrameStream } from './frame-stream.ts';

/** The other side is told of taken bytes in steps of this size, well before its window is used up. */
const ACK_STEP_BYTES = CHANNEL_WINDOW_BYTES / 4;

/**
 * One end of a byte tunnel inside a link. Its readable side is what the other end sends, its writable side goes there;
 * each direction ends by itself (`eof`) and is held back by the credit of its receiver.
 */
export class Tunnel extends Duplex {
  readonly #ch: number;
  readonly #frames: FrameStream;
  readonly #onGone: () => void;
  #received = 0;
  #acked = 0;
  readonly #arrived: Uint8Array[] = [];
  #hasEof = false;
  #wantsMore = false;
  #sent = 0;
  #ackedByPeer = 0;
  #resume: (() => void) | undefined;
  #isPeerClosed = false;

  /** @param onGone called once, when the channel's number means nothing any more */
  constructor(ch: number, frames: FrameStream, onGone: () => void) {
    super({ allowHalfOpen: true, writableHighWaterMark: DATA_CHUNK_BYTES, readableHighWaterMark: DATA_CHUNK_BYTES });
    this.#ch = ch;
    this.#frames = frames;
    this.#onGone = onGone;
  }

  /** @throws CodedError `worker.protocol_violation` on a gap, or more bytes than the window allows */
  takeData(offset: number, bytes: Uint8Array): void {
    if (offset !== this.#received)
      throw new CodedError('worker.protocol_violation', `channel ${this.#ch} continued at byte ${offset} instead of ${this.#received}`);
    this.#received += bytes.length;
    if (this.#received - this.#acked > CHANNEL_WINDOW_BYTES + ACK_STEP_BYTES)
      throw new CodedError('worker.protocol_violation', `channel ${this.#ch} sent more than its window of ${CHANNEL_WINDOW_BYTES} bytes`);
    this.#arrived.push(bytes);
    if (this.#wantsMore) this._read();
  }

  takeEof(): void {
    this.#hasEof = true;
    if (this.#wantsMore) this._read();
  }

  takeAck(upto: number): void {
    this.#ackedByPeer = Math.max(this.#ackedByPeer, Math.min(upto, this.#sent));
    this.#resume?.();
  }

  /** @param error why the other end gave up; without one it merely needs no more */
  takeClose(error: string | undefined): void {
    this.#isPeerClosed = true;
    this.destroy(error === undefined ? undefined : new Error(error));
  }

  override _read(): void {
    this.#wantsMore = true;
    while (this.#wantsMore && this.#arrived.length > 0) {
      const bytes = this.#arrived.shift() as Uint8Array;
      this.#wantsMore = this.push(bytes);
    }
    const taken = this.#received - this.#arrived.reduce((sum, bytes) => sum + bytes.length, 0);
    if (taken - this.#acked >= ACK_STEP_BYTES) {
      this.#acked = taken;
      this.#frames.send({ t: 'ack', ch: this.#ch, upto: taken });
    }
    if (this.#hasEof && this.#arrived.length === 0 && this.#wantsMore) {
      this.#wantsMore = false;
      this.push(null);
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    let at = 0;
    const step = (): void => {
      this.#resume = undefined;
      while (at < chunk.length) {
        if (this.destroyed) return done(new Error('the tunnel is closed'));
        const room = CHANNEL_WINDOW_BYTES - (this.#sent - this.#ackedByPeer);
        if (room <= 0) {
          this.#resume = step;
          return;
        }
        if (this.#frames.isFull()) {
          this.#frames.onRoom(step);
          return;
        }
        const piece = chunk.subarray(at, at + Math.min(room, DATA_CHUNK_BYTES));
        this.#frames.sendData(this.#ch, this.#sent, piece);
        this.#sent += piece.length;
        at += piece.length;
      }
      done();
    };
    step();
  }

  override _final(done: () => void): void {
    this.#frames.send({ t: 'eof', ch: this.#ch });
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isFinished = this.readableEnded && this.writableFinished;
    if (!isFinished && !this.#isPeerClosed) this.#frames.send({ t: 'close', ch: this.#ch, ...(error && { error: error.message }) });
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
    this.#onGone();
    done(error);
  }
}
