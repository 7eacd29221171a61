import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CHANNEL_WINDOW_BYTES, DATA_CHUNK_BYTES } from '@helixcode/protocol/worker/frames';
import { isErrno } from '../home/write-file.ts';
import type { Job } from '../jobs/job.ts';
import type { FrameSocket } from './frame-socket.ts';

/** A chatty writer is read at most this often; a line after silence goes at once. */
const PACE_MS = 10;
/** Acked bytes are given back to the disk in steps of this size: small logs are left alone. */
const DROP_STEP_BYTES = 16 * 1024 * 1024;

/** Sends one stream of a job from an offset on, follows its growth, and ends it with `eof` once the job is over. */
export class FileChannel {
  readonly #socket: FrameSocket;
  readonly #job: Job;
  readonly #ch: number;
  readonly #stream: string;
  readonly #stopListening: () => void;
  #file: FileHandle | undefined;
  #sentBytes: number;
  #ackedBytes: number;
  #isPumping = false;
  #isAskedAgain = false;
  #isClosed = false;
  #onClosed: () => void;

  constructor(socket: FrameSocket, job: Job, message: { ch: number; stream: string; from: number }, onClosed: () => void) {
    this.#socket = socket;
    this.#job = job;
    this.#ch = message.ch;
    this.#stream = message.stream;
    this.#sentBytes = message.from;
    this.#ackedBytes = message.from;
    this.#onClosed = onClosed;
    this.#stopListening = job.onGrowth(() => this.#pumpSoon());
    this.#pumpSoon();
  }

  /** @param upto the offset up to which the server has stored the stream */
  ack(upto: number): void {
    this.#ackedBytes = Math.max(this.#ackedBytes, Math.min(upto, this.#sentBytes));
    this.#dropAcked();
    this.#pumpSoon();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopListening();
    this.#onClosed();
    if (!this.#isPumping) void this.#file?.close();
  }

  #fail(error: string): void {
    this.#socket.send({ t: 'close', ch: this.#ch, error });
    this.close();
  }

  #pumpSoon(): void {
    if (this.#isClosed) return;
    this.#isAskedAgain = true;
    if (!this.#isPumping) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      while (this.#isAskedAgain && !this.#isClosed) {
        this.#isAskedAgain = false;
        // Asked before reading: what is over has written its last byte.
        const isOver = this.#job.isOver;
        const isAtEnd = await this.#sendWhatIsThere();
        if (this.#isClosed) break;
        if (isOver && isAtEnd) {
          this.#socket.send({ t: 'eof', ch: this.#ch });
          this.close();
        } else {
          await new Promise((resolve) => setTimeout(resolve, PACE_MS));
        }
      }
    } catch (error) {
      this.#fail(String(error));
    } finally {
      this.#isPumping = false;
      if (this.#isClosed) await this.#file?.close().catch(() => {});
    }
  }

  /** @returns whether the whole file was sent; false when the window is used up */
  async #sendWhatIsThere(): Promise<boolean> {
    const file = await this.#openFile();
    if (!file) return true;
    const limit = this.#stream === 'out' || this.#stream === 'err' ? this.#job.spec.outputLimitBytes : Infinity;
    for (;;) {
      const window = this.#ackedBytes + CHANNEL_WINDOW_BYTES - this.#sentBytes;
      const wanted = Math.min(DATA_CHUNK_BYTES, window, limit - this.#sentBytes);
      if (limit <= this.#sentBytes) return true;
      if (wanted <= 0) return false;
      await this.#socket.room();
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, this.#sentBytes);
      if (this.#isClosed) return false;
      if (bytesRead === 0) return true;
      this.#socket.sendData(this.#ch, this.#sentBytes, buffer.subarray(0, bytesRead));
      this.#sentBytes += bytesRead;
    }
  }

  async #openFile(): Promise<FileHandle | undefined> {
    if (this.#file) return this.#file;
    const isOutput = this.#stream === 'out' || this.#stream === 'err';
    const path = this.#job.folder.streamFile(this.#stream);
    if (path === undefined) {
      // A file that a running command may still make is waited for; what leads outside never comes.
      if (this.#job.isOver || !this.#stream.startsWith('file:')) this.#fail('absent');
      return undefined;
    }
    if (isOutput && this.#sentBytes < this.#job.folder.readDroppedBytes(this.#stream)) {
      this.#fail(`the bytes before ${this.#job.folder.readDroppedBytes(this.#stream)} were acknowledged before and are gone`);
      return undefined;
    }
    try {
      this.#file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
      if (!isOutput && this.#job.isOver) this.#fail('absent');
    }
    return this.#file;
  }

  /**
   * Gives the blocks of acked output back, so that a long log needs no disk for what the server has. Where `fallocate`
   * is missing or the filesystem cannot do it, the file stays whole.
   */
  #dropAcked(): void {
    if (this.#stream !== 'out' && this.#stream !== 'err') return;
    const dropped = this.#job.folder.readDroppedBytes(this.#stream);
    const upto = this.#ackedBytes - (this.#ackedBytes % DROP_STEP_BYTES);
    const path = this.#job.folder.streamFile(this.#stream);
    if (upto <= dropped || path === undefined) return;
    // Written first: from here on nobody may read these bytes.
    this.#job.folder.writeDroppedBytes(this.#stream, upto);
    execFile('fallocate', ['-p', '-o', String(dropped), '-l', String(upto - dropped), path], () => {});
  }
}
