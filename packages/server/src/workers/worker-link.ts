import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { CodedError, type ErrorFact, isErrorCode } from '@helixcode/protocol/errors';
import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { MachineFacts, WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import type { SnapshotOrder } from '@helixcode/protocol/worker/checkpoint';
import {
  CHANNEL_WINDOW_BYTES,
  type Frame,
  PROTOCOL_VERSION,
  type TunnelService,
  type WorkerMessage,
  workerMessage,
} from '@helixcode/protocol/worker/frames';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import type { Tidied, TidyLimits } from '@helixcode/protocol/worker/tidy';
import { WORKSPACE_TEXT_CHARACTERS, workspacePieces } from '@helixcode/protocol/worker/workspace';
import type { Logger } from 'pino';
import { type FrameStream, openFrameStream } from './frame-stream.ts';
import type { JobBook, JobOrder, WorkerServices } from './job-book.ts';
import type { OutputWriter } from './output-writer.ts';
import { Tunnel } from './tunnel.ts';
import { serveTunnel } from './tunnel-services.ts';

/** Silence of this many beats ends the link. */
const BEATS_UNTIL_DROPPED = 3;
/** News of a job's way are held this long: a short job's end overtakes them, and one write serves for all. */
const REPORT_PAUSE_MS = 15;
/** A job that waits for a slot is given back when none has come free for this long: another worker may have one. */
const RECALL_AFTER_MS = 250;
/** The same however many came free: what was meant to be short is not. */
const RECALL_AT_LATEST_MS = 1_000;
/** A cancelled job that a new link finds still running gets this long between TERM and KILL. */
const CANCEL_GRACE_MS = 5_000;

const NO_CHANNEL = -1;

export type Welcome = Extract<WorkerMessage, { t: 'welcome' }>;

export interface LinkContext {
  worker: WorkerId;
  /** For sentences people read. */
  workerName: string;
  serverId: string;
  epoch: number;
  /** Jobs that may run there at once; what is assigned beyond that waits here until one is over. */
  slots(): number;
  heartbeatMs: number;
  /** How long the worker may take to answer `hello`. */
  welcomeTimeoutMs: number;
  book: JobBook;
  services: WorkerServices;
  output: OutputWriter;
  log: Logger;
}

/** What the owner of a link is told. */
export interface LinkEars {
  /** Once, before anything else: the worker has accepted this link. */
  onWelcome(welcome: Welcome): void;
  onBeat(load: WorkerLoad, warmProjects: string[]): void;
  onFacts(facts: MachineFacts): void;
  /** The number of beats missed changed: 0 means it is well again. */
  onMissed(beats: number): void;
  /** Once, as the last: the link is over, and why. */
  onClose(error: CodedError): void;
}

export interface WorkerLink {
  assign(attempt: AttemptId, spec: JobSpec, secrets: Record<string, string>): void;
  cancel(attempt: AttemptId, graceMs: number): void;
  /** @returns what resolves when this link is over */
  checkpoint(attempt: AttemptId, order: SnapshotOrder): Promise<void>;
  /** Asks for the removal of what is kept there beyond the limits. @throws CodedError `worker.link_lost` */
  tidy(limits: TidyLimits, dryRun: boolean): Promise<Tidied[]>;
  /**
   * Asks for work in the checkout of a job.
   * @param text the JSON of a `workspaceOp`; @returns that of a `WorkspaceReply`, `undefined` when the link is over before it came
   */
  work(attempt: AttemptId, text: string): Promise<string | undefined>;
  /** Jobs that are on the worker or wait for a slot of it, and are not over, as far as is known here. */
  liveJobs(): number;
  /** When the worker last said anything, by `performance.now()`. */
  heardAtMs(): number;
  probe(): void;
  /** Ends the daemon; its jobs go on. The link closes when it is gone. */
  shutdown(): void;
  close(error: CodedError): void;
}

interface OutputChannel {
  /** `NO_CHANNEL` where the bytes came with a report, or had been stored before this link. */
  ch: number;
  stream: string;
  received: number;
  stored: number;
  acked: number;
}

interface LinkedJob {
  report: JobReport | undefined;
  streams: Map<string, OutputChannel>;
  /** Not sent yet, for want of a slot. */
  waiting: { spec: JobSpec; secrets: Record<string, string>; sinceMs: number } | undefined;
  /** Nothing of its output was stored before this link: what is at hand begins at byte 0. */
  isFresh: boolean;
  /** Its end is being put on the books. */
  isClosing: boolean;
  /** It only holds a checkout. */
  isSeat: boolean;
}

/** Speaks with one worker over one connection, from `hello` until either side ends it. */
export function openWorkerLink(stream: Duplex, context: LinkContext, ears: LinkEars): WorkerLink {
  const { worker, workerName, book, log } = context;
  const jobs = new Map<AttemptId, LinkedJob>();
  const outputChannels = new Map<number, { attempt: AttemptId; job: LinkedJob; channel: OutputChannel }>();
  const tunnels = new Map<number, Tunnel>();
  const heldReports = new Map<AttemptId, JobReport>();
  const acksDue = new Set<OutputChannel>();
  const tidying = new Map<string, PromiseWithResolvers<Tidied[]>>();
  /** Work that is not answered yet, and the pieces of the answer that came. */
  const working = new Map<string, { text: string; answer: PromiseWithResolvers<string | undefined> }>();
  /** Jobs that wait for a slot, in the order in which they get one. */
  const waitingJobs = new Map<AttemptId, LinkedJob>();
  let recallTimer: NodeJS.Timeout | undefined;
  let slotFreedAtMs = 0;
  let reportTimer: NodeJS.Timeout | undefined;
  let areReportsDue = false;
  let nextChannel = 2;
  let isWelcome = false;
  let isClosed = false;
  const over = Promise.withResolvers<void>();
  let hasHeard = true;
  let heardAtMs = performance.now();
  let missedBeats = 0;

  const frames: FrameStream = openFrameStream(stream, {
    onFrames(arrived) {
      hasHeard = true;
      heardAtMs = performance.now();
      if (missedBeats > 0) {
        missedBeats = 0;
        ears.onMissed(0);
      }
      for (const frame of arrived) {
        if (isClosed) return;
        takeFrame(frame);
      }
    },
    onEnd(error) {
      close(
        error instanceof CodedError
          ? error
          : new CodedError(
              'worker.link_lost',
              `the connection to ${workerName} ended${error instanceof Error ? `: ${error.message}` : ''}`,
              {
                cause: error,
              },
            ),
      );
    },
  });

  const welcomeTimer = setTimeout(() => {
    close(new CodedError('worker.link_lost', `${workerName} did not answer within ${context.welcomeTimeoutMs} ms of being greeted`));
  }, context.welcomeTimeoutMs);
  const heartbeat = setInterval(beat, context.heartbeatMs);
  frames.send({ t: 'hello', server: context.serverId, epoch: context.epoch, protocols: [PROTOCOL_VERSION] });

  function beat(): void {
    if (!isWelcome) return;
    if (hasHeard) hasHeard = false;
    else {
      missedBeats += 1;
      if (missedBeats >= BEATS_UNTIL_DROPPED) {
        close(new CodedError('worker.link_lost', `${workerName} has been silent for ${missedBeats} beats of ${context.heartbeatMs} ms`));
        return;
      }
      ears.onMissed(missedBeats);
    }
    frames.send({ t: 'ping', at: Date.now() });
  }

  function takeFrame(frame: Frame): void {
    if (frame.kind === 'data') return takeData(frame.ch, frame.offset, frame.bytes);
    const parsed = workerMessage.safeParse(frame.control);
    if (!parsed.success) {
      // A newer worker may say things this server does not know yet; a known message that is ill-formed is a fault.
      if (isUnknownMessage(frame.control)) return;
      throw new CodedError('worker.protocol_violation', `${workerName} sent a message that breaks the protocol: ${parsed.error.message}`);
    }
    takeMessage(parsed.data);
  }

  function takeMessage(message: WorkerMessage): void {
    switch (message.t) {
      case 'welcome':
        return takeWelcome(message);
      case 'pong':
        return ears.onBeat(message.load, message.warmProjects);
      case 'facts':
        return ears.onFacts(message.facts);
      case 'job':
        return takeReport(message.job);
      case 'unrecorded':
        return context.services.missCheckpoint(message.request, {
          code: isErrorCode(message.code) ? message.code : 'checkpoint.failed',
          message: `${workerName}: ${message.message}`,
        });
      case 'tidied':
        return tidying.get(message.request)?.resolve(message.items);
      case 'worked':
        return takeWorked(message);
      case 'tunnel':
        return openTunnel(message.ch, message.service, message.name);
      case 'ack':
        return tunnels.get(message.ch)?.takeAck(message.upto);
      case 'eof':
        return tunnels.get(message.ch)?.takeEof();
      case 'close':
        return takeClose(message.ch, message.error);
      case 'refused':
        return close(
          new CodedError(
            isErrorCode(message.code) ? message.code : 'worker.stale_epoch',
            `${workerName} refused this server: ${message.message}`,
          ),
        );
      case 'superseded':
        return close(
          new CodedError(
            'worker.stale_epoch',
            `another connection to ${workerName} (number ${message.epoch}) has taken over from number ${context.epoch}`,
          ),
        );
      case 'fault':
        return takeFault(message);
    }
  }

  function takeWorked({ request, text, isLast }: Extract<WorkerMessage, { t: 'worked' }>): void {
    const work = working.get(request);
    if (!work) return;
    work.text += text;
    if (work.text.length > WORKSPACE_TEXT_CHARACTERS)
      throw new CodedError('worker.protocol_violation', `${workerName} answered with more than ${WORKSPACE_TEXT_CHARACTERS} characters`);
    if (!isLast) return;
    working.delete(request);
    work.answer.resolve(work.text);
  }

  async function sendWork(request: string, attempt: AttemptId, text: string): Promise<void> {
    for (const piece of workspacePieces(text)) {
      while (!isClosed && frames.isFull()) await new Promise<void>((resolve) => frames.onRoom(resolve));
      if (!working.has(request)) return;
      frames.send({ t: 'workspace', request, attempt, ...piece });
    }
  }

  function takeFault({ code, message, attempt }: Extract<WorkerMessage, { t: 'fault' }>): void {
    log.warn({ worker, attempt, code }, message);
    const fact: ErrorFact = { code: isErrorCode(code) ? code : 'worker.protocol_violation', message };
    if (attempt === undefined) return close(new CodedError(fact.code, `${workerName} ended the connection: ${message}`));
    const job = jobs.get(attempt as AttemptId);
    // What has a report goes its own way; what has none was never begun, and nothing else will be said of it.
    if (job && !job.report) takeReport({ attempt, state: 'refused', reason: fact, streams: {} });
  }

  function takeWelcome(welcome: Welcome): void {
    if (isWelcome) return;
    isWelcome = true;
    clearTimeout(welcomeTimer);
    ears.onWelcome(welcome);
    reconcile(welcome.jobs).catch(failLink);
  }

  /** Compares what the worker has with what is wanted of it. A job assigned meanwhile may be sent twice, which is harmless. */
  async function reconcile(reports: JobReport[]): Promise<void> {
    for (const report of reports) jobOf(report.attempt as AttemptId).report = report;
    const wanted = await book.wantedJobs(worker);
    for (const { attempt } of wanted) await context.output.settled(attempt);
    for (const { attempt, spec } of wanted) if (spec.takesSlot === false) jobOf(attempt).isSeat = true;
    const known = new Set(reports.map((report) => report.attempt));
    const missing: JobReport[] = [];
    for (const job of wanted) {
      if (known.has(job.attempt)) continue;
      if (job.hasStarted) missing.push({ attempt: job.attempt, state: 'lost', reason: forgottenBy(workerName), streams: {} });
      else if (job.cancelAsked) missing.push({ attempt: job.attempt, state: 'cancelled', streams: {} });
      else {
        const secrets = await book.secretsOf(job.attempt);
        if (!isClosed) assign(job.attempt, job.spec, secrets, false);
      }
    }
    const orders = await book.takeReports(worker, [...reports, ...missing]);
    if (isClosed) return;
    for (const job of wanted) if (job.cancelAsked && known.has(job.attempt)) sendCancel(job.attempt, CANCEL_GRACE_MS);
    obey(orders);
  }

  function assign(attempt: AttemptId, spec: JobSpec, secrets: Record<string, string>, isFresh: boolean): void {
    const known = jobs.get(attempt);
    if (known) {
      if (!known.waiting) frames.send({ t: 'assign', attempt, spec, secrets });
      return;
    }
    const job: LinkedJob = {
      report: undefined,
      streams: new Map(),
      waiting: { spec, secrets, sinceMs: performance.now() },
      isFresh,
      isClosing: false,
      isSeat: spec.takesSlot === false,
    };
    jobs.set(attempt, job);
    if (job.isSeat) {
      job.waiting = undefined;
      return frames.send({ t: 'assign', attempt, spec, secrets });
    }
    waitingJobs.set(attempt, job);
    fillSlots();
  }

  /** Sends what waits for a slot, as far as there are any. */
  function fillSlots(): void {
    if (waitingJobs.size === 0) return;
    let free = context.slots() - countBegun();
    for (const [attempt, job] of waitingJobs) {
      if (free <= 0) break;
      free -= 1;
      waitingJobs.delete(attempt);
      if (job.waiting) frames.send({ t: 'assign', attempt, spec: job.waiting.spec, secrets: job.waiting.secrets });
      job.waiting = undefined;
    }
    const [oldest] = waitingJobs.values();
    if (oldest?.waiting) recallTimer ??= setTimeout(recallLate, Math.max(1, recallAtMs(oldest.waiting.sinceMs) - performance.now()));
  }

  function recallAtMs(sinceMs: number): number {
    return Math.min(Math.max(sinceMs, slotFreedAtMs) + RECALL_AFTER_MS, sinceMs + RECALL_AT_LATEST_MS);
  }

  function countBegun(): number {
    let count = 0;
    for (const { report, waiting, isSeat } of jobs.values()) if (!waiting && !isSeat && !(report && isOver(report.state))) count += 1;
    return count;
  }

  /** Gives back what has waited for too long: it never began, so it may go anywhere. */
  function recallLate(): void {
    recallTimer = undefined;
    for (const [attempt, job] of waitingJobs) {
      if (!job.waiting || performance.now() < recallAtMs(job.waiting.sinceMs)) break;
      const reason: ErrorFact = {
        code: 'job.recalled',
        message: `it waited for a slot of ${workerName}, where the jobs before it take longer than expected`,
      };
      takeReport({ attempt, state: 'refused', reason, streams: {} });
    }
    fillSlots();
  }

  function sendCancel(attempt: AttemptId, graceMs: number): void {
    const job = jobs.get(attempt);
    if (job?.report && isOver(job.report.state)) return;
    if (job?.waiting) {
      takeReport({
        attempt,
        state: 'cancelled',
        reason: { code: 'task.cancelled', message: 'the job was cancelled before it began' },
        streams: {},
      });
      return;
    }
    frames.send({ t: 'cancel', attempt, graceMs });
  }

  function jobOf(attempt: AttemptId): LinkedJob {
    let job = jobs.get(attempt);
    if (!job)
      jobs.set(
        attempt,
        (job = { report: undefined, streams: new Map(), waiting: undefined, isFresh: false, isClosing: false, isSeat: false }),
      );
    return job;
  }

  function takeReport(news: JobReport): void {
    const { inline, ...report } = news;
    const attempt = report.attempt as AttemptId;
    const job = jobOf(attempt);
    // What is over stays over, whatever arrives late; and its end is put on the books once.
    if (job.isClosing || (job.report && isOver(job.report.state) && !isOver(report.state))) return;
    if (isOver(report.state) && !job.waiting) slotFreedAtMs = performance.now();
    job.report = report;
    // Whatever is known of it, it came from the worker, or ends it here.
    job.waiting = undefined;
    waitingJobs.delete(attempt);
    if (isOver(report.state)) {
      fillSlots();
      if (inline) takeInline(attempt, job, report, inline);
      heldReports.delete(attempt);
      closeWhenStored(attempt, job);
      // What is not at hand has to be asked for, which begins with putting the end on the books.
      if (!job.isClosing && !isUnderWay(job)) holdReport(attempt, report, true);
    } else holdReport(attempt, report, false);
  }

  /** Whether every byte still missing of an ended job comes by itself: it is at hand, or its channel is open. */
  function isUnderWay(job: LinkedJob): boolean {
    return Object.entries(job.report?.streams ?? {}).every(([stream, length]) => {
      const channel = job.streams.get(stream);
      return channel ? channel.ch !== NO_CHANNEL || channel.received >= length : length === 0;
    });
  }

  function takeInline(attempt: AttemptId, job: LinkedJob, report: JobReport, inline: Record<string, string>): void {
    for (const [stream, base64] of Object.entries(inline)) {
      const whole = Buffer.from(base64, 'base64');
      if (whole.length !== report.streams[stream])
        throw new CodedError(
          'worker.protocol_violation',
          `${workerName} sent ${whole.length} of ${report.streams[stream] ?? 0} bytes of ${stream}`,
        );
      let channel = job.streams.get(stream);
      // How much of it an earlier link has stored is known only to the books: then it is fetched from there on.
      if (!channel && !job.isFresh) continue;
      if (!channel) job.streams.set(stream, (channel = { ch: NO_CHANNEL, stream, received: 0, stored: 0, acked: 0 }));
      if (channel.ch !== NO_CHANNEL) {
        // What the channel has sent beyond this is the same once more.
        outputChannels.delete(channel.ch);
        frames.send({ t: 'close', ch: channel.ch });
        channel.ch = NO_CHANNEL;
      }
      if (channel.received >= whole.length) continue;
      const offset = channel.received;
      channel.received = whole.length;
      store(attempt, job, channel, offset, whole.subarray(offset));
    }
  }

  function holdReport(attempt: AttemptId, report: JobReport, isUrgent: boolean): void {
    heldReports.set(attempt, report);
    if (isUrgent && !areReportsDue) {
      areReportsDue = true;
      clearTimeout(reportTimer);
      reportTimer = undefined;
      setImmediate(flushReports);
    } else if (!areReportsDue) reportTimer ??= setTimeout(flushReports, REPORT_PAUSE_MS);
  }

  function flushReports(): void {
    areReportsDue = false;
    reportTimer = undefined;
    if (isClosed || heldReports.size === 0) return;
    const reports = [...heldReports.values()];
    heldReports.clear();
    book.takeReports(worker, reports).then(obey, failLink);
  }

  function obey(orders: JobOrder[]): void {
    if (isClosed) return;
    for (const order of orders) {
      if (order.forget) {
        forget(order.attempt);
        continue;
      }
      const job = jobs.get(order.attempt);
      if (!job) continue;
      if (order.cancel) sendCancel(order.attempt, CANCEL_GRACE_MS);
      takeStanding(job, order);
      for (const { stream, from } of order.collect) openOutput(order.attempt, job, stream, from);
      closeWhenStored(order.attempt, job);
    }
  }

  /** Learns from the books how much of a job's output is stored. */
  function takeStanding(job: LinkedJob, order: JobOrder): void {
    if (!job.report || !isOver(job.report.state)) return;
    const missing = new Set(order.collect.map(({ stream }) => stream));
    for (const [stream, length] of Object.entries(job.report.streams))
      if (!missing.has(stream) && !job.streams.has(stream))
        job.streams.set(stream, { ch: NO_CHANNEL, stream, received: length, stored: length, acked: length });
    if (!job.isClosing || missing.size === 0) return;
    // The books lack what was thought to be stored: it is fetched again from where they end.
    job.isClosing = false;
    for (const stream of missing) {
      const channel = job.streams.get(stream);
      if (channel) outputChannels.delete(channel.ch);
      job.streams.delete(stream);
    }
  }

  function forget(attempt: AttemptId): void {
    const job = jobs.get(attempt);
    if (job) for (const channel of job.streams.values()) outputChannels.delete(channel.ch);
    jobs.delete(attempt);
    waitingJobs.delete(attempt);
    heldReports.delete(attempt);
    frames.send({ t: 'forget', attempt });
  }

  function openOutput(attempt: AttemptId, job: LinkedJob, stream: string, from: number): void {
    const known = job.streams.get(stream);
    if (known) {
      // It is open, or came whole with a report.
      if (known.ch !== NO_CHANNEL || known.received > from) return;
    }
    const channel: OutputChannel = { ch: nextChannel, stream, received: from, stored: from, acked: from };
    nextChannel += 2;
    job.streams.set(stream, channel);
    outputChannels.set(channel.ch, { attempt, job, channel });
    frames.send({ t: 'open', ch: channel.ch, attempt, stream, from });
  }

  function takeData(ch: number, offset: number, bytes: Uint8Array): void {
    const tunnel = tunnels.get(ch);
    if (tunnel) return tunnel.takeData(offset, bytes);
    const open = outputChannels.get(ch);
    // Closed here while its bytes were on the way.
    if (!open) return;
    const { attempt, job, channel } = open;
    if (offset !== channel.received)
      throw new CodedError(
        'worker.protocol_violation',
        `${channel.stream} of ${attempt} continued at byte ${offset} instead of ${channel.received}`,
      );
    channel.received += bytes.length;
    if (channel.received - channel.acked > CHANNEL_WINDOW_BYTES)
      throw new CodedError(
        'worker.protocol_violation',
        `${channel.stream} of ${attempt} sent more than its window of ${CHANNEL_WINDOW_BYTES} bytes`,
      );
    store(attempt, job, channel, offset, bytes);
  }

  function store(attempt: AttemptId, job: LinkedJob, channel: OutputChannel, offset: number, bytes: Uint8Array): void {
    context.output.add({ attempt, stream: channel.stream, offset, bytes }).then(() => {
      channel.stored = Math.max(channel.stored, offset + bytes.length);
      if (isClosed) return;
      if (channel.ch !== NO_CHANNEL) {
        // Pieces of one commit resolve one after the other within a turn: they share an ack.
        if (acksDue.size === 0) setImmediate(sendAcks);
        acksDue.add(channel);
      }
      closeWhenStored(attempt, job);
    }, failLink);
  }

  function sendAcks(): void {
    const due = [...acksDue];
    acksDue.clear();
    for (const channel of due) {
      if (!outputChannels.has(channel.ch)) continue;
      channel.acked = channel.stored;
      frames.send({ t: 'ack', ch: channel.ch, upto: channel.stored });
    }
  }

  /** Puts the end of a job on the books as soon as every byte of it is there. */
  function closeWhenStored(attempt: AttemptId, job: LinkedJob): void {
    const { report } = job;
    if (!report || !isOver(report.state) || job.isClosing) return;
    for (const [stream, length] of Object.entries(report.streams)) {
      const stored = job.streams.get(stream)?.stored ?? (job.isFresh ? 0 : undefined);
      if (stored === undefined ? length > 0 : stored < length) return;
    }
    job.isClosing = true;
    holdReport(attempt, report, true);
  }

  function openTunnel(ch: number, service: TunnelService, name: string): void {
    if (ch % 2 === 0 || tunnels.has(ch))
      throw new CodedError('worker.protocol_violation', `${workerName} opened channel ${ch}, which is not free`);
    const tunnel = new Tunnel(ch, frames, () => tunnels.delete(ch));
    tunnels.set(ch, tunnel);
    void serveTunnel(context.services, worker, service, name, tunnel);
  }

  function takeClose(ch: number, error: string | undefined): void {
    const tunnel = tunnels.get(ch);
    if (tunnel) return tunnel.takeClose(error);
    const open = outputChannels.get(ch);
    // Without an error it has merely said all there is.
    if (!open || error === undefined) return;
    // What the worker says of the job itself decides what that means.
    outputChannels.delete(ch);
    open.job.streams.delete(open.channel.stream);
    log.warn({ worker, attempt: open.attempt, stream: open.channel.stream }, `the worker could not go on with a stream: ${error}`);
  }

  /** The database did not take what the worker said: nothing was acknowledged, and a new link brings it again. */
  function failLink(error: unknown): void {
    close(
      error instanceof CodedError ? error : new CodedError('api.internal', `news of ${workerName} could not be stored`, { cause: error }),
    );
  }

  function close(error: CodedError): void {
    if (isClosed) return;
    isClosed = true;
    clearTimeout(welcomeTimer);
    clearTimeout(reportTimer);
    clearTimeout(recallTimer);
    clearInterval(heartbeat);
    for (const tunnel of [...tunnels.values()]) tunnel.takeClose('the link was lost');
    for (const answer of tidying.values()) answer.reject(error);
    for (const { answer } of working.values()) answer.resolve(undefined);
    working.clear();
    over.resolve();
    stream.destroy();
    ears.onClose(error);
  }

  return {
    assign(attempt, spec, secrets) {
      if (isWelcome && !isClosed) assign(attempt, spec, secrets, !jobs.has(attempt));
    },
    cancel(attempt, graceMs) {
      if (isWelcome && !isClosed) sendCancel(attempt, graceMs);
    },
    checkpoint(attempt, order) {
      if (!isClosed) frames.send({ t: 'checkpoint', attempt, ...order });
      return over.promise;
    },
    async tidy(limits, dryRun) {
      if (isClosed) throw new CodedError('worker.link_lost', `the link to ${workerName} is over`);
      const request = randomUUID();
      const answer = Promise.withResolvers<Tidied[]>();
      tidying.set(request, answer);
      frames.send({ t: 'tidy', request, limits, dryRun });
      return answer.promise.finally(() => tidying.delete(request));
    },
    async work(attempt, text) {
      if (isClosed) return undefined;
      const request = randomUUID();
      const answer = Promise.withResolvers<string | undefined>();
      working.set(request, { text: '', answer });
      void sendWork(request, attempt, text);
      return answer.promise;
    },
    liveJobs() {
      let count = 0;
      for (const { report } of jobs.values()) if (!report || !isOver(report.state)) count += 1;
      return count;
    },
    heardAtMs: () => heardAtMs,
    probe: () => frames.send({ t: 'probe' }),
    shutdown: () => frames.send({ t: 'shutdown' }),
    close,
  };
}

function forgottenBy(workerName: string): ErrorFact {
  return {
    code: 'job.lost',
    message: `the job began on ${workerName}, which no longer knows it: its folder there was deleted`,
    next: 'helix tasks retry',
  };
}

const KNOWN_MESSAGES = new Set(workerMessage.options.map((option) => option.shape.t.value as string));

function isUnknownMessage(control: unknown): boolean {
  if (typeof control !== 'object' || control === null || !('t' in control) || typeof control.t !== 'string') return false;
  return !KNOWN_MESSAGES.has(control.t);
}
