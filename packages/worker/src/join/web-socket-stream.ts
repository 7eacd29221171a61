import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { LINK_MESSAGE_BYTES } from '@helixcode/protocol/worker/dial-in';

const OP_CONTINUATION = 0x0;
const OP_BINARY = 0x2;
const OP_CLOSE = 0x8;
const OP_PING = 0x9;
const OP_PONG = 0xa;
const FINAL = 0x80;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** The largest payload of a message that is not data. */
const CONTROL_BYTES = 125;
const NORMAL_CLOSURE = 1000;

/**
 * The client's end of a WebSocket as a stream of bytes: what is written leaves as binary messages, and what arrives in such
 * is read, wherever one ends. Ends when the other side closes.
 *
 * @see RFC 6455, 5 (framing)
 */
export class WebSocketStream extends Duplex {
  /** Status with which the server closed, once it has. */
  closeStatus: number | undefined;
  readonly #socket: Socket;
  #held: Buffer = Buffer.alloc(0);
  /** Bytes of the present message that are still to come. */
  #payloadLeft = 0;
  #hasSaidClose = false;

  /** @param head what came with the answer that opened the socket */
  constructor(socket: Socket, head: Buffer) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
    if (head.length > 0) this.#take(head);
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.cork();
    let at = 0;
    for (; chunk.length - at > LINK_MESSAGE_BYTES; at += LINK_MESSAGE_BYTES)
      this.#socket.write(encode(OP_BINARY, chunk.subarray(at, at + LINK_MESSAGE_BYTES)));
    // A connection that is gone is told by its end.
    this.#socket.write(encode(OP_BINARY, chunk.subarray(at)), () => done());
    this.#socket.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sayClose(NORMAL_CLOSURE);
    this.#socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #take(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    try {
      while (this.#takeNext());
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** @returns false when more has to arrive first */
  #takeNext(): boolean {
    if (this.#payloadLeft > 0) {
      if (this.#held.length === 0) return false;
      const piece = this.#held.subarray(0, this.#payloadLeft);
      this.#held = this.#held.subarray(piece.length);
      this.#payloadLeft -= piece.length;
      if (!this.push(piece)) this.#socket.pause();
      return true;
    }
    const header = readHeader(this.#held);
    if (!header) return false;
    const { opcode, length, size } = header;
    if (opcode === OP_BINARY || opcode === OP_CONTINUATION) {
      this.#held = this.#held.subarray(size);
      this.#payloadLeft = length;
      return true;
    }
    if (length > CONTROL_BYTES) throw new Error(`the server sent a WebSocket message of kind ${opcode} and ${length} bytes`);
    if (this.#held.length < size + length) return false;
    const payload = this.#held.subarray(size, size + length);
    this.#held = this.#held.subarray(size + length);
    if (opcode === OP_PING) this.#socket.write(encode(OP_PONG, payload));
    else if (opcode === OP_CLOSE) this.#takeClose(payload);
    else if (opcode !== OP_PONG) throw new Error(`the server sent a WebSocket message of kind ${opcode}`);
    return true;
  }

  #takeClose(payload: Buffer): void {
    this.closeStatus = payload.length >= 2 ? payload.readUInt16BE(0) : undefined;
    this.#sayClose(this.closeStatus ?? NORMAL_CLOSURE);
    this.push(null);
  }

  #sayClose(status: number): void {
    if (this.#hasSaidClose || !this.#socket.writable) return;
    this.#hasSaidClose = true;
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(status);
    this.#socket.write(encode(OP_CLOSE, payload));
  }
}

/** @returns `undefined` while it is not whole */
function readHeader(bytes: Buffer): { opcode: number; length: number; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const [first = 0, second = 0] = bytes;
  if ((first & 0x70) !== 0 || (second & MASKED) !== 0) throw new Error('the server broke the rules of WebSocket framing');
  const opcode = first & 0x0f;
  if (second < LENGTH_16) return { opcode, length: second, size: 2 };
  if (second === LENGTH_16) return bytes.length < 4 ? undefined : { opcode, length: bytes.readUInt16BE(2), size: 4 };
  return bytes.length < 10 ? undefined : { opcode, length: Number(bytes.readBigUInt64BE(2)), size: 10 };
}

/** A whole message, masked, as a client's must be. */
function encode(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const lengthBytes = length < LENGTH_16 ? 0 : length < 2 ** 16 ? 2 : 8;
  const maskAt = 2 + lengthBytes;
  const message = Buffer.allocUnsafe(maskAt + 4 + length);
  message[0] = FINAL | opcode;
  if (lengthBytes === 0) message[1] = MASKED | length;
  else if (lengthBytes === 2) {
    message[1] = MASKED | LENGTH_16;
    message.writeUInt16BE(length, 2);
  } else {
    message[1] = MASKED | LENGTH_64;
    message.writeBigUInt64BE(BigInt(length), 2);
  }
  const mask = randomBytes(4);
  message.set(mask, maskAt);
  const [a = 0, b = 0, c = 0, d = 0] = mask;
  const key = [a, b, c, d];
  for (let index = 0, at = maskAt + 4; index < length; index++, at++) message[at] = (payload[index] ?? 0) ^ (key[index & 3] ?? 0);
  return message;
}
