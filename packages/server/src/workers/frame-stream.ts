import type { Duplex } from 'node:stream';
import {
  encodeControl,
  encodeData,
  type Frame,
  FrameDecoder,
  type ServerMessage,
  type WorkerMessage,
} from '@helixcode/protocol/worker/frames';

/** Above this many bytes waiting in the stream, bulk data waits too, so that a control message is never far behind. */
const BULK_PAUSE_BYTES = 256 * 1024;

/** Frames over a byte stream: what is said within one turn of the event loop leaves in one write. */
export interface FrameStream {
  send(message: ServerMessage | WorkerMessage): void;
  sendData(ch: number, offset: number, bytes: Uint8Array): void;
  /** Whether bulk data should wait for `onRoom`. */
  isFull(): boolean;
  /** Calls back once, when there is room again. */
  onRoom(listener: () => void): void;
}

export interface FrameEars {
  onFrames(frames: Frame[]): void;
  /** Once: the stream ended, broke, or what arrived was no frame. Nothing is called afterwards. */
  onEnd(error: unknown): void;
}

export function openFrameStream(stream: Duplex, ears: FrameEars): FrameStream {
  const decoder = new FrameDecoder();
  let isCorked = false;
  let isOver = false;
  let waiting: (() => void)[] = [];

  const end = (error?: unknown): void => {
    if (isOver) return;
    isOver = true;
    ears.onEnd(error);
  };
  const write = (bytes: Uint8Array): void => {
    if (isOver || stream.destroyed || stream.writableEnded) return;
    if (!isCorked) {
      isCorked = true;
      stream.cork();
      setImmediate(() => {
        isCorked = false;
        stream.uncork();
      });
    }
    stream.write(bytes);
  };

  stream.on('data', (chunk: Uint8Array) => {
    if (isOver) return;
    try {
      ears.onFrames(decoder.push(chunk));
    } catch (error) {
      end(error);
    }
  });
  stream.on('drain', () => {
    const listeners = waiting;
    waiting = [];
    for (const listener of listeners) listener();
  });
  stream.on('end', () => end());
  stream.on('error', end);
  stream.on('close', () => end());

  return {
    send: (message) => write(encodeControl(message)),
    sendData: (ch, offset, bytes) => write(encodeData(ch, offset, bytes)),
    isFull: () => stream.writableLength > BULK_PAUSE_BYTES,
    onRoom: (listener) => void waiting.push(listener),
  };
}
