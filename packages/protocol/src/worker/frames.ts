import { z } from 'zod';
import { CodedError } from '../errors.ts';
import { machineFacts, workerLoad } from './capabilities.ts';
import { snapshotOrder } from './checkpoint.ts';
import { jobReport, jobSpec } from './job.ts';
import { tidied, tidyLimits } from './tidy.ts';

export { PREAMBLE, PREAMBLE_SEARCH_BYTES } from './preamble.ts';

export const PROTOCOL_VERSION = 1;
/** A longer frame is a fault of the sender, and ends the link. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;
/** How many bytes of one channel may be under way without an ack: the credit. */
export const CHANNEL_WINDOW_BYTES = 1024 * 1024;
/** The largest piece of a stream put into one frame. */
export const DATA_CHUNK_BYTES = 64 * 1024;

const channel = z.number().int().nonnegative();

/** What a worker may reach of the server, through a tunnel of its link. */
export const TUNNEL_SERVICES = ['upload-pack', 'blob-get', 'blob-put', 'checkpoint'] as const;
export type TunnelService = (typeof TUNNEL_SERVICES)[number];

/**
 * What the server says. Channels opened by the server have even numbers, by the worker odd ones. An ack carries the
 * offset up to which the bytes are safe (for job output: committed to the database).
 */
export const serverMessage = z.discriminatedUnion('t', [
  /** `epoch` grows with every link to this worker; a lower one than the worker has seen is stale and refused. */
  z.object({ t: z.literal('hello'), server: z.string(), epoch: z.number().int(), protocols: z.array(z.number()) }),
  z.object({ t: z.literal('ping'), at: z.number() }),
  z.object({ t: z.literal('assign'), attempt: z.string(), spec: jobSpec, secrets: z.record(z.string(), z.string()) }),
  z.object({ t: z.literal('open'), ch: channel, attempt: z.string(), stream: z.string(), from: z.number().int() }),
  z.object({ t: z.literal('ack'), ch: channel, upto: z.number().int() }),
  z.object({ t: z.literal('eof'), ch: channel }),
  z.object({ t: z.literal('close'), ch: channel, error: z.string().optional() }),
  z.object({ t: z.literal('cancel'), attempt: z.string(), graceMs: z.number().int() }),
  z.object({ t: z.literal('forget'), attempt: z.string() }),
  /** Take a snapshot of the checkout now, while the job runs on; it comes by a tunnel, or `unrecorded` says why not. */
  z.object({ t: z.literal('checkpoint'), attempt: z.string(), ...snapshotOrder.shape }),
  z.object({ t: z.literal('probe') }),
  /** Remove what is kept for later jobs beyond the limits, or only count it; `tidied` answers. */
  z.object({ t: z.literal('tidy'), request: z.string(), limits: tidyLimits, dryRun: z.boolean() }),
  /**
   * Work in the checkout of a running job; `worked` answers. `text` is the JSON of a `workspaceOp`, in several frames of
   * the same request where it is long. All of it is safe to ask for again.
   */
  z.object({ t: z.literal('workspace'), request: z.string(), attempt: z.string(), text: z.string(), isLast: z.boolean() }),
  /** The daemon ends; its jobs go on and the next daemon adopts them. */
  z.object({ t: z.literal('shutdown') }),
]);
export type ServerMessage = z.infer<typeof serverMessage>;

/** What a worker says. */
export const workerMessage = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('welcome'),
    protocol: z.number(),
    /** Content hash of the agent's bundle. */
    agent: z.string(),
    facts: machineFacts,
    load: workerLoad,
    /** Every job whose folder exists: the server compares it with what it wants. */
    jobs: z.array(jobReport),
    /** Projects with a checkout here. */
    warmProjects: z.array(z.string()),
  }),
  z.object({ t: z.literal('pong'), at: z.number(), load: workerLoad, warmProjects: z.array(z.string()) }),
  z.object({ t: z.literal('job'), job: jobReport }),
  z.object({ t: z.literal('facts'), facts: machineFacts }),
  /** A snapshot that was asked for will not come. */
  z.object({ t: z.literal('unrecorded'), attempt: z.string(), request: z.string(), code: z.string(), message: z.string() }),
  z.object({ t: z.literal('tidied'), request: z.string(), items: z.array(tidied) }),
  /** `text` is the JSON of a `WorkspaceReply`, in several frames where it is long. */
  z.object({ t: z.literal('worked'), request: z.string(), text: z.string(), isLast: z.boolean() }),
  /**
   * A byte tunnel to a service of the server. The bytes of both directions are data frames of `ch`, each direction with
   * its own offsets, acks (of bytes taken, not stored) and window. `eof` closes one direction; the tunnel is over when
   * both have said it, or when either side says `close`. Nothing is answered before data: a tunnel is open at once.
   *
   * - `upload-pack`: stdin and stdout of `git upload-pack`, as protocol version 0 or 2, the server chooses.
   * - `blob-get`: the content, then `eof`. While another worker produces the blob the server stays silent;
   *   `close` with error `absent` makes the asker its producer.
   * - `blob-put`: content and `eof` from the worker; the server says `eof` when the blob is stored. A producer that
   *   failed opens it and says `close` with an error, so that somebody else becomes the producer.
   * - `checkpoint`: a line of JSON (`checkpointHeader`), the git bundle and `eof` from the worker; the server says `eof`
   *   when it keeps it, `close` with an error when it does not want it.
   */
  z.object({
    t: z.literal('tunnel'),
    ch: channel,
    service: z.enum(TUNNEL_SERVICES),
    /** `upload-pack`: the project. Blobs: sha256 of the content in hex, or `setup-<key>-<platform>`. `checkpoint`: the attempt. */
    name: z.string(),
  }),
  z.object({ t: z.literal('ack'), ch: channel, upto: z.number().int() }),
  z.object({ t: z.literal('eof'), ch: channel }),
  z.object({ t: z.literal('close'), ch: channel, error: z.string().optional() }),
  /** This link may not be used: stale epoch, or no common protocol version. */
  z.object({ t: z.literal('refused'), code: z.string(), message: z.string() }),
  /** A newer link has taken over; this one is about to close. */
  z.object({ t: z.literal('superseded'), epoch: z.number().int() }),
  z.object({ t: z.literal('fault'), code: z.string(), message: z.string(), attempt: z.string().optional() }),
]);
export type WorkerMessage = z.infer<typeof workerMessage>;

/** A piece of a channel: `offset` counts the bytes of that channel from its start and is its sequence number. */
export interface DataFrame {
  ch: number;
  offset: number;
  bytes: Uint8Array;
}

/** `control` is still unchecked JSON: the receiver parses it with the schema of what the other side may say. */
export type Frame = { kind: 'control'; control: unknown } | ({ kind: 'data' } & DataFrame);

const HEADER_BYTES = 5;
const DATA_HEADER_BYTES = 10;
const KIND_CONTROL = 0;
const KIND_DATA = 1;
const text = new TextEncoder();
const utf8 = new TextDecoder();

/** `u32 length of what follows | u8 kind 0 | JSON` */
export function encodeControl(message: ServerMessage | WorkerMessage): Uint8Array {
  const json = text.encode(JSON.stringify(message));
  const frame = new Uint8Array(HEADER_BYTES + json.length);
  new DataView(frame.buffer).setUint32(0, json.length + 1);
  frame[4] = KIND_CONTROL;
  frame.set(json, HEADER_BYTES);
  return frame;
}

/** `u32 length of what follows | u8 kind 1 | u32 channel | u48 offset | bytes`, numbers big-endian */
export function encodeData(ch: number, offset: number, bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + DATA_HEADER_BYTES + bytes.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, 1 + DATA_HEADER_BYTES + bytes.length);
  frame[4] = KIND_DATA;
  view.setUint32(5, ch);
  view.setUint16(9, Math.floor(offset / 2 ** 32));
  view.setUint32(11, offset >>> 0);
  frame.set(bytes, HEADER_BYTES + DATA_HEADER_BYTES);
  return frame;
}

/** Cuts a byte stream into frames. Pieces may arrive split anywhere. */
export class FrameDecoder {
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  /**
   * @returns the frames completed by `chunk`, in order; data frames hold copies or views that stay valid
   * @throws CodedError `worker.protocol_violation` on a frame over `MAX_FRAME_BYTES`, an unknown kind or broken JSON
   */
  push(chunk: Uint8Array): Frame[] {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      if (this.#heldBytes < HEADER_BYTES) return frames;
      const header = this.#peek(HEADER_BYTES);
      const length = new DataView(header.buffer, header.byteOffset).getUint32(0);
      if (length < 1 || length > MAX_FRAME_BYTES)
        throw new CodedError('worker.protocol_violation', `a frame of ${length} bytes was announced`);
      if (this.#heldBytes < 4 + length) return frames;
      frames.push(decodeFrame(this.#take(4 + length)));
    }
  }

  #peek(count: number): Uint8Array {
    const first = this.#held[0];
    if (first && first.length >= count) return first;
    const joined = concat(this.#held, this.#heldBytes);
    this.#held = [joined];
    return joined;
  }

  #take(count: number): Uint8Array {
    const all = this.#peek(count);
    this.#heldBytes -= count;
    if (all.length === count) this.#held.shift();
    else this.#held[0] = all.subarray(count);
    return all.subarray(0, count);
  }
}

function decodeFrame(frame: Uint8Array): Frame {
  const kind = frame[4];
  if (kind === KIND_CONTROL) {
    try {
      return { kind: 'control', control: JSON.parse(utf8.decode(frame.subarray(HEADER_BYTES))) };
    } catch (cause) {
      throw new CodedError('worker.protocol_violation', 'a control frame is not JSON', { cause });
    }
  }
  if (kind === KIND_DATA && frame.length >= HEADER_BYTES + DATA_HEADER_BYTES) {
    const view = new DataView(frame.buffer, frame.byteOffset);
    return {
      kind: 'data',
      ch: view.getUint32(5),
      offset: view.getUint16(9) * 2 ** 32 + view.getUint32(11),
      bytes: frame.subarray(HEADER_BYTES + DATA_HEADER_BYTES),
    };
  }
  throw new CodedError('worker.protocol_violation', `a frame of unknown kind ${kind} arrived`);
}

function concat(parts: Uint8Array[], total: number): Uint8Array {
  const joined = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
