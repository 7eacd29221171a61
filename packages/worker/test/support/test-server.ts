import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import { type CheckpointHeader, checkpointHeader } from '@helixcode/protocol/worker/checkpoint';
import {
  CHANNEL_WINDOW_BYTES,
  DATA_CHUNK_BYTES,
  encodeControl,
  encodeData,
  FrameDecoder,
  type ServerMessage,
  type WorkerMessage,
  workerMessage,
} from '@helixcode/protocol/worker/frames';
import { type JobReport, type JobSpec, jobSpec } from '@helixcode/protocol/worker/job';

type Welcome = WorkerMessage & { t: 'welcome' };

interface Incoming {
  from: number;
  received: number;
  chunks: Uint8Array[];
  isEnded: boolean;
  error: string | undefined;
}

/** A tunnel as the server's end sees it. */
interface Tunnel {
  service: string;
  name: string;
  received: number;
  sent: number;
  acked: number;
  onData(bytes: Uint8Array): void;
  onEnd(): void;
  onClose(error: string | undefined): void;
  onRoom: (() => void) | undefined;
}

/** Speaks the server's part of a link, and remembers what it heard. */
export class TestServer {
  readonly heard: WorkerMessage[] = [];
  readonly streams = new Map<number, Incoming>();
  /** Blobs by key; `undefined` as content marks one that somebody is producing. */
  readonly blobs = new Map<string, Uint8Array>();
  readonly tunnelsOpened: string[] = [];
  /** Checkpoints that came, put into `repository`. */
  readonly checkpoints: (CheckpointHeader & { attempt: string })[] = [];
  /** Folder of the bare repository that `upload-pack` serves. */
  repository = '';
  acks: boolean;
  welcome!: Welcome;
  isClosed = false;
  readonly #socket: Socket;
  readonly #tunnels = new Map<number, Tunnel>();
  readonly #watchers = new Set<() => void>();
  #nextChannel = 2;

  constructor(socket: Socket, acks: boolean) {
    this.#socket = socket;
    this.acks = acks;
    const decoder = new FrameDecoder();
    socket.on('data', (chunk: Uint8Array) => {
      for (const frame of decoder.push(chunk)) {
        if (frame.kind === 'data') this.#takeData(frame.ch, frame.offset, frame.bytes);
        else this.#take(workerMessage.parse(frame.control));
      }
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  static async connect(path: string, options: { epoch: number; server: string; acks: boolean }): Promise<TestServer> {
    const server = await TestServer.dial(path, options.acks);
    server.send({ t: 'hello', server: options.server, epoch: options.epoch, protocols: [1] });
    await server.until(() => server.heard.some((message) => message.t === 'welcome' || message.t === 'refused'));
    const first = server.heard.find((message) => message.t === 'welcome');
    if (first) server.welcome = first as Welcome;
    return server;
  }

  static async dial(path: string, acks = true): Promise<TestServer> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new TestServer(socket, acks);
  }

  send(message: ServerMessage): void {
    this.#socket.write(encodeControl(message));
  }

  sendRaw(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  assign(attempt: string, spec: Partial<JobSpec> & { command: string }, secrets: Record<string, string> = {}): void {
    this.send({ t: 'assign', attempt, spec: jobSpec.parse({ env: {}, outputLimitBytes: 2 ** 30, ...spec }), secrets });
  }

  open(attempt: string, stream: string, from = 0): Incoming {
    const incoming: Incoming = { from, received: from, chunks: [], isEnded: false, error: undefined };
    this.streams.set(this.#nextChannel, incoming);
    this.send({ t: 'open', ch: this.#nextChannel, attempt, stream, from });
    this.#nextChannel += 2;
    return incoming;
  }

  /** @returns the whole stream as text, once it ended */
  async read(attempt: string, stream: string): Promise<string> {
    const incoming = this.open(attempt, stream);
    await this.until(() => incoming.isEnded || incoming.error !== undefined);
    if (incoming.error !== undefined) throw new Error(incoming.error);
    return textOf(incoming);
  }

  reportsOf(attempt: string): JobReport[] {
    const heard = this.heard.flatMap((message) => (message.t === 'job' && message.job.attempt === attempt ? message.job : []));
    return [...(this.welcome?.jobs.filter((job) => job.attempt === attempt) ?? []), ...heard];
  }

  async over(attempt: string): Promise<JobReport> {
    return this.reported(attempt, (report) => isOver(report.state));
  }

  async reported(attempt: string, wanted: (report: JobReport) => boolean): Promise<JobReport> {
    let found: JobReport | undefined;
    await this.until(() => (found = this.reportsOf(attempt).find(wanted)) !== undefined);
    return found as JobReport;
  }

  async hears<T extends WorkerMessage['t']>(t: T): Promise<WorkerMessage & { t: T }> {
    let found: WorkerMessage | undefined;
    await this.until(() => (found = this.heard.find((message) => message.t === t)) !== undefined);
    return found as WorkerMessage & { t: T };
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.isClosed) throw new Error(`the link closed; heard ${JSON.stringify(this.heard.slice(-3))}`);
      await new Promise<void>((resolve) => {
        this.#watchers.add(resolve);
      });
    }
  }

  async untilClosed(): Promise<void> {
    while (!this.isClosed) await new Promise<void>((resolve) => this.#watchers.add(resolve));
  }

  #wake(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }

  #take(message: WorkerMessage): void {
    this.heard.push(message);
    if (message.t === 'tunnel') return this.#openTunnel(message);
    if (message.t !== 'eof' && message.t !== 'close' && message.t !== 'ack') return;
    const tunnel = this.#tunnels.get(message.ch);
    const stream = this.streams.get(message.ch);
    if (message.t === 'ack' && tunnel) {
      tunnel.acked = message.upto;
      tunnel.onRoom?.();
    }
    if (message.t === 'eof') {
      tunnel?.onEnd();
      if (stream) stream.isEnded = true;
    }
    if (message.t === 'close') {
      tunnel?.onClose(message.error);
      this.#tunnels.delete(message.ch);
      if (stream) stream.error = message.error ?? 'closed';
    }
  }

  #takeData(ch: number, offset: number, bytes: Uint8Array): void {
    const tunnel = this.#tunnels.get(ch);
    if (tunnel) {
      if (offset !== tunnel.received) throw new Error(`tunnel ${ch}: offset ${offset} instead of ${tunnel.received}`);
      tunnel.received += bytes.length;
      tunnel.onData(bytes);
      this.send({ t: 'ack', ch, upto: tunnel.received });
      return;
    }
    const stream = this.streams.get(ch);
    if (!stream) throw new Error(`data on the unknown channel ${ch}`);
    if (offset !== stream.received) throw new Error(`channel ${ch}: offset ${offset} instead of ${stream.received}`);
    stream.received += bytes.length;
    stream.chunks.push(Uint8Array.from(bytes));
    if (this.acks) this.send({ t: 'ack', ch, upto: stream.received });
  }

  #openTunnel({ ch, service, name }: WorkerMessage & { t: 'tunnel' }): void {
    this.tunnelsOpened.push(`${service} ${name}`);
    const tunnel: Tunnel = { service, name, received: 0, sent: 0, acked: 0, onData() {}, onEnd() {}, onClose() {}, onRoom: undefined };
    this.#tunnels.set(ch, tunnel);
    if (service === 'upload-pack') return this.#serveUploadPack(ch, tunnel);
    if (service === 'checkpoint') {
      const chunks: Uint8Array[] = [];
      tunnel.onData = (bytes) => void chunks.push(Uint8Array.from(bytes));
      tunnel.onEnd = () => {
        const content = Buffer.concat(chunks);
        const lineEnd = content.indexOf('\n');
        const header = checkpointHeader.parse(JSON.parse(content.toString('utf8', 0, lineEnd)));
        const git = (args: string[]): void => void execFileSync('git', ['-C', this.repository, ...args], { stdio: 'pipe' });
        const bundle = join(this.repository, '.git', 'incoming.bundle');
        writeFileSync(bundle, content.subarray(lineEnd + 1));
        git(['bundle', 'unbundle', bundle]);
        git(['update-ref', `refs/helix/${name}/${this.checkpoints.length}`, header.commit]);
        this.checkpoints.push({ ...header, attempt: name });
        this.send({ t: 'eof', ch });
      };
      return;
    }
    if (service === 'blob-put') {
      const chunks: Uint8Array[] = [];
      tunnel.onData = (bytes) => void chunks.push(Uint8Array.from(bytes));
      tunnel.onEnd = () => {
        this.blobs.set(name, Buffer.concat(chunks));
        this.send({ t: 'eof', ch });
      };
      return;
    }
    const content = this.blobs.get(name);
    if (content) void this.#sendAll(ch, tunnel, content).then(() => this.send({ t: 'eof', ch }));
    else this.send({ t: 'close', ch, error: 'absent' });
  }

  #serveUploadPack(ch: number, tunnel: Tunnel): void {
    const git = spawn('git', ['-c', 'uploadpack.allowAnySHA1InWant=true', 'upload-pack', this.repository], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    git.stdin.on('error', () => {});
    tunnel.onData = (bytes) => void git.stdin.write(bytes);
    tunnel.onEnd = () => git.stdin.end();
    tunnel.onClose = () => git.kill();
    let sending = Promise.resolve();
    git.stdout.on('data', (chunk: Uint8Array) => {
      sending = sending.then(() => this.#sendAll(ch, tunnel, chunk));
    });
    git.stdout.on('end', () => void sending.then(() => this.send({ t: 'eof', ch })));
  }

  async #sendAll(ch: number, tunnel: Tunnel, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(DATA_CHUNK_BYTES, bytes.length - at, tunnel.acked + CHANNEL_WINDOW_BYTES - tunnel.sent);
      if (count === 0) {
        await new Promise<void>((resolve) => (tunnel.onRoom = resolve));
        continue;
      }
      this.#socket.write(encodeData(ch, tunnel.sent, bytes.subarray(at, at + count)));
      tunnel.sent += count;
      at += count;
    }
  }
}

export function textOf(incoming: Incoming): string {
  return Buffer.concat(incoming.chunks).toString('utf8');
}
