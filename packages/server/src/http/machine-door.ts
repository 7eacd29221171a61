import type { IncomingHttpHeaders } from 'node:http';
import type { RawAnswer } from './handler.ts';
import type { SocketStream } from './socket-stream.ts';

/** A way in for machines, which have tokens of their own instead of a person's. */
export interface MachineDoor {
  /** Path of a WebSocket that carries bytes. */
  socketPath: string;
  /** Path of the one file a guest may fetch. */
  filePath: string;
  /** @throws CodedError when it is not let in */
  admit(headers: IncomingHttpHeaders): Promise<Guest>;
}

/** A machine that was let in, for the time of one request. */
export interface Guest {
  /** Sent with the answer that opens the WebSocket. */
  headers: Record<string, string>;
  /** The WebSocket is open. */
  enter(stream: SocketStream): void;
  file(): RawAnswer;
}
