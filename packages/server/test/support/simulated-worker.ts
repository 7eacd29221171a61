import { createServer, type Server, type Socket } from 'node:net';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { MachineFacts, WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import { CHANNEL_WINDOW_BYTES, DATA_CHUNK_BYTES, type Frame, type ServerMessage, serverMessage } from '@helixcode/protocol/worker/frames';
import { INLINE_STREAM_BYTES, type JobReport, type JobSpec } from '@helixcode/protocol/worker/job';
import { openFrameStream } from '@helixcode/server/workers/frame-stream';

export interface SimulatedWorkerOptions {
  socketPath: string;
  /** Milliseconds a job takes; 0 ends it in the turn in which it came. A function decides per job. */
  jobMs?: number | ((spec: JobSpec) => number);
  /** What a job prints; by default its command, a line of it. */
  outputOf?: (spec: JobSpec) => Uint8Array;
  exitCodeOf?: (spec: JobSpec) => number;
  /** Short outputs travel inside the report of the end. */
  sendsInline?: boolean;
  cores?: number;
  agent?: string;
}

export interface SimulatedWorker {
  /** Attempts it was asked to run, in order, each once. */
  readonly started: string[];
  /** The most jobs that ran at one time. */
  readonly mostRunning: number;
  readonly forgotten: string[];
  readonly cancelled: string[];
  /** Everything the server said, newest last. */
  readonly heard: ServerMessage[];
  /** Ends all links; jobs go on. */
  dropLinks(): void;
  /** Stops answering and reading, with the connection open; `false` goes on. */
  hang(isHung: boolean): void;
  /** Opens a tunnel on the present link. */
  link(): SimulatedLink | undefined;
  close(): Promise<void>;
}

export interface SimulatedLink {
  send: ReturnType<typeof openFrameStream>['send'];
  sendData: ReturnType<typeof openFrameStream>['sendData'];
  /** Called with what arrives on a channel that the worker opened. */
  onChannel(ch: number, ears: { data?(offset: number, bytes: Uint8Array): void; message?(message: ServerMessage): void }): void;
}

interface SimulatedJob {
  report: JobReport;
  output: Uint8Array;
  channels: { ch: number; stream: string; sent: number; acked: number }[];
  timer: NodeJS.Timeout | undefined;
}

/** A worker that runs nothing: it speaks the protocol as the daemon does, hundreds of them in one process. */
export async function givenSimulatedWorker(options: SimulatedWorkerOptions): Promise<SimulatedWorker> {
  const jobs = new Map<string, SimulatedJob>();
  const started: string[] = [];
  const forgotten: string[] = [];
  const cancelled: string[] = [];
  const heard: ServerMessage[] = [];
  const sockets = new Set<Socket>();
  let current: { link: SimulatedLink; socket: Socket } | undefined;
  let newestEpoch = 0;
  let mostRunning = 0;

  const server: Server = createServer((socket) => {
    sockets.add(socket);
    const channelEars = new Map<number, Parameters<SimulatedLink['onChannel']>[1]>();
    const frames = openFrameStream(socket, {
      onFrames: (arrived) => arrived.forEach(takeFrame),
      onEnd() {
        sockets.delete(socket);
        if (current?.socket === socket) current = undefined;
        for (const job of jobs.values()) job.channels = [];
        socket.destroy();
      },
    });
    const link: SimulatedLink = {
      send: frames.send,
      sendData: frames.sendData,
      onChannel: (ch, ears) => void channelEars.set(ch, ears),
    };

    function takeFrame(frame: Frame): void {
      if (frame.kind === 'data') return channelEars.get(frame.ch)?.data?.(frame.offset, frame.bytes);
      const message = serverMessage.parse(frame.control);
      heard.push(message);
      if (heard.length > 10_000) heard.splice(0, 5_000);
      if ('ch' in message && message.ch % 2 === 1) return channelEars.get(message.ch)?.message?.(message);
      takeMessage(message);
    }

    function takeMessage(message: ServerMessage): void {
      switch (message.t) {
        case 'hello':
          if (message.epoch < newestEpoch) {
            frames.send({ t: 'refused', code: 'worker.stale_epoch', message: `epoch ${message.epoch} is older than ${newestEpoch}` });
            return;
          }
          newestEpoch = message.epoch;
          if (current) current.link.send({ t: 'superseded', epoch: message.epoch });
          current = { link, socket };
          frames.send({
            t: 'welcome',
            protocol: 1,
            agent: options.agent ?? 'simulated',
            facts: simulatedFacts(options.cores ?? 4),
            load: load(),
            jobs: [...jobs.values()].map((job) => job.report),
            warmProjects: [],
          });
          return;
        case 'ping':
          frames.send({ t: 'pong', at: message.at, load: load(), warmProjects: [] });
          return;
        case 'assign':
          return assign(message.attempt, message.spec);
        case 'cancel':
          return cancel(message.attempt);
        case 'forget':
          clearTimeout(jobs.get(message.attempt)?.timer);
          jobs.delete(message.attempt);
          forgotten.push(message.attempt);
          return;
        case 'open': {
          const job = jobs.get(message.attempt);
          if (!job) return;
          job.channels.push({ ch: message.ch, stream: message.stream, sent: message.from, acked: message.from });
          pump(job);
          return;
        }
        case 'ack':
          for (const job of jobs.values())
            for (const channel of job.channels)
              if (channel.ch === message.ch) {
                channel.acked = message.upto;
                pump(job);
              }
          return;
        case 'close':
          for (const job of jobs.values()) job.channels = job.channels.filter((channel) => channel.ch !== message.ch);
          return;
        case 'shutdown':
          socket.end();
          return;
        default:
          return;
      }
    }
  });

  function load(): WorkerLoad {
    return {
      cpuPercent: 0,
      cpuPressure: 0,
      memoryPressure: 0,
      ioPressure: 0,
      memoryFreeBytes: 1e9,
      diskFreeBytes: 1e9,
      load1: 0,
      runningJobs: [...jobs.values()].filter((job) => !isOver(job.report.state)).length,
    };
  }

  function tell(job: SimulatedJob, inline?: Record<string, string>): void {
    current?.link.send({ t: 'job', job: { ...job.report, ...(inline && { inline }) } });
  }

  function assign(attempt: string, spec: JobSpec): void {
    const known = jobs.get(attempt);
    if (known) return tell(known);
    started.push(attempt);
    const output = options.outputOf?.(spec) ?? Buffer.from(`${spec.command}\n`);
    const job: SimulatedJob = {
      report: { attempt, state: 'running', streams: { out: 0, err: 0 }, wallMs: 0 },
      output,
      channels: [],
      timer: undefined,
    };
    jobs.set(attempt, job);
    const jobMs = typeof options.jobMs === 'function' ? options.jobMs(spec) : (options.jobMs ?? 0);
    const end = (): void => {
      const exitCode = options.exitCodeOf?.(spec) ?? 0;
      job.report = { attempt, state: 'exited', exitCode, streams: { out: output.length, err: 0 }, wallMs: jobMs };
      const isShort = options.sendsInline && output.length <= INLINE_STREAM_BYTES;
      tell(job, isShort ? { out: Buffer.from(output).toString('base64') } : undefined);
      pump(job);
    };
    if (jobMs === 0) return end();
    mostRunning = Math.max(mostRunning, load().runningJobs);
    tell(job);
    job.timer = setTimeout(end, jobMs);
  }

  function cancel(attempt: string): void {
    cancelled.push(attempt);
    const job = jobs.get(attempt);
    if (!job) return;
    clearTimeout(job.timer);
    if (!isOver(job.report.state)) job.report = { attempt, state: 'cancelled', streams: { out: 0, err: 0 } };
    tell(job);
  }

  /** A job prints at its end, all at once. */
  function pump(job: SimulatedJob): void {
    if (!isOver(job.report.state)) return;
    for (const channel of job.channels) {
      const content = channel.stream === 'out' ? job.output : new Uint8Array();
      const end = Math.min(job.report.streams[channel.stream] ?? 0, channel.acked + CHANNEL_WINDOW_BYTES);
      while (channel.sent < end) {
        const piece = content.subarray(channel.sent, Math.min(end, channel.sent + DATA_CHUNK_BYTES));
        current?.link.sendData(channel.ch, channel.sent, piece);
        channel.sent += piece.length;
      }
    }
  }

  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.socketPath, resolve));
  return {
    started,
    get mostRunning() {
      return mostRunning;
    },
    forgotten,
    cancelled,
    heard,
    dropLinks() {
      for (const socket of sockets) socket.destroy();
    },
    hang(isHung) {
      for (const socket of sockets) isHung ? socket.pause() : socket.resume();
    },
    link: () => current?.link,
    async close() {
      for (const job of jobs.values()) clearTimeout(job.timer);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function simulatedFacts(cores: number): MachineFacts {
  return {
    os: 'linux',
    arch: 'x64',
    libc: 'glibc-2.36',
    kernel: '6.1.0',
    hostname: 'simulated',
    cores,
    memoryBytes: 8 * 2 ** 30,
    diskBytes: 100 * 2 ** 30,
    gpus: [],
    tools: { git: '2.39.5' },
    modelServers: {},
    sandbox: 'none',
    bootId: 'boot-1',
    user: 'nobody',
  };
}
