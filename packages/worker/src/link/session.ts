import type { Socket } from 'node:net';
import { CodedError } from '@helixcode/protocol/errors';
import type { MachineFacts, WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import { type Frame, PROTOCOL_VERSION, type ServerMessage, serverMessage } from '@helixcode/protocol/worker/frames';
import type { JobReport } from '@helixcode/protocol/worker/job';
import type { Tidied, TidyLimits } from '@helixcode/protocol/worker/tidy';
import { WORKSPACE_TEXT_CHARACTERS, type WorkspaceReply, workspacePieces } from '@helixcode/protocol/worker/workspace';
import type { SeenEpoch } from '../home/epoch-file.ts';
import type { JobTable } from '../jobs/job-table.ts';
import type { WorkspaceDesk } from '../workspace-ops/workspace-desk.ts';
import { FileChannel } from './file-channel.ts';
import { FrameSocket } from './frame-socket.ts';
import type { ServerTunnels } from './server-tunnels.ts';

/** What a session needs of the daemon. */
export interface SessionHost {
  agentHash: string;
  jobs: JobTable;
  tunnels: ServerTunnels;
  /** Makes this the one session and remembers its epoch; false when a newer server was here. */
  takeOver(session: Session, epoch: SeenEpoch): boolean;
  left(session: Session): void;
  facts(): Promise<MachineFacts>;
  probe(): void;
  load(): WorkerLoad;
  warmProjects(): string[];
  tidy(limits: TidyLimits, dryRun: boolean): Promise<Tidied[]>;
  desk: WorkspaceDesk;
  shutdown(): void;
  log(line: string): void;
}

/** One link to a server, from its `hello` on. */
export class Session {
  readonly #host: SessionHost;
  readonly #socket: FrameSocket;
  readonly #streams = new Map<number, FileChannel>();
  /** Requests of several frames that are not whole yet. */
  readonly #requests = new Map<string, string>();
  readonly #unsent = new Map<string, JobReport>();
  #state: 'new' | 'greeting' | 'up' | 'closed' = 'new';
  #isFlushing = false;
  #heardAtMs = performance.now();

  constructor(socket: Socket, host: SessionHost) {
    this.#host = host;
    this.#socket = new FrameSocket(
      socket,
      (frames) => {
        this.#heardAtMs = performance.now();
        for (const frame of frames) if (this.#state !== 'closed') this.#receive(frame);
      },
      (error) => this.#endWithFault(error),
    );
    socket.on('close', () => this.#closed());
    socket.on('end', () => socket.end());
    socket.on('error', () => {}); // `close` follows.
  }

  /** When the server last said anything, by `performance.now()`. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** The newest report of each job goes out as soon as the link has room for it. */
  push(report: JobReport): void {
    if (this.#state === 'closed' || this.#state === 'new') return;
    this.#unsent.set(report.attempt, report);
    if (!this.#isFlushing) void this.#flush();
  }

  pushFacts(facts: MachineFacts): void {
    if (this.#state === 'up') this.#socket.send({ t: 'facts', facts });
  }

  /** Another link has taken over. */
  supersede(epoch: number): void {
    this.#socket.send({ t: 'superseded', epoch });
    this.end();
  }

  end(): void {
    this.#socket.end();
    this.#closed();
  }

  #receive(frame: Frame): void {
    if (frame.kind === 'data') {
      if (this.#state !== 'up') throw new CodedError('worker.protocol_violation', 'data came before hello');
      this.#host.tunnels.find(frame.ch)?.receive(frame.offset, frame.bytes);
      return;
    }
    const message = this.#parse(frame.control);
    if (!message) return;
    if (this.#state === 'new') {
      if (message.t !== 'hello') throw new CodedError('worker.protocol_violation', `${message.t} came before hello`);
      this.#greet(message);
    } else {
      this.#obey(message);
    }
  }

  /** @returns `undefined` for a message that a newer server may send and this worker does not know */
  #parse(control: unknown): ServerMessage | undefined {
    const parsed = serverMessage.safeParse(control);
    if (parsed.success) return parsed.data;
    const t = typeof control === 'object' && control !== null && 't' in control ? control.t : undefined;
    const isKnown = serverMessage.options.some((option) => option.shape.t.value === t);
    if (typeof t === 'string' && !isKnown) return undefined;
    throw new CodedError(
      'worker.protocol_violation',
      `a message ${JSON.stringify(t)} is not well-formed: ${parsed.error.issues[0]?.path.join('.')} ${parsed.error.issues[0]?.message}`,
    );
  }

  #greet(hello: ServerMessage & { t: 'hello' }): void {
    if (!hello.protocols.includes(PROTOCOL_VERSION))
      return this.#refuse(
        'worker.protocol_violation',
        `this worker speaks protocol ${PROTOCOL_VERSION}, the server ${hello.protocols.join(', ')}`,
      );
    if (!this.#host.takeOver(this, hello))
      return this.#refuse('worker.stale_epoch', `epoch ${hello.epoch} is stale: a newer link has been here`);
    this.#state = 'greeting';
    void this.#welcome();
  }

  async #welcome(): Promise<void> {
    const facts = await this.#host.facts();
    if (this.#state !== 'greeting') return;
    this.#unsent.clear();
    this.#socket.send({
      t: 'welcome',
      protocol: PROTOCOL_VERSION,
      agent: this.#host.agentHash,
      facts,
      load: this.#host.load(),
      jobs: this.#host.jobs.reports(),
      warmProjects: this.#host.warmProjects(),
    });
    this.#state = 'up';
    this.#host.tunnels.linkUp(this.#socket);
  }

  #obey(message: ServerMessage): void {
    switch (message.t) {
      case 'hello':
        throw new CodedError('worker.protocol_violation', 'hello was said twice');
      case 'ping':
        return this.#socket.send({ t: 'pong', at: message.at, load: this.#host.load(), warmProjects: this.#host.warmProjects() });
      case 'assign':
        return this.#tryFor(message.attempt, () => this.#host.jobs.assign(message.attempt, message.spec, message.secrets));
      case 'cancel':
        return this.#tryFor(message.attempt, () => this.#host.jobs.cancel(message.attempt, message.graceMs));
      case 'forget':
        return this.#tryFor(message.attempt, () => this.#host.jobs.forget(message.attempt));
      case 'checkpoint':
        return void this.#checkpoint(message);
      case 'tidy':
        return void this.#tidy(message);
      case 'workspace':
        return this.#takeRequest(message);
      case 'open':
        return this.#open(message);
      case 'ack':
        this.#streams.get(message.ch)?.ack(message.upto);
        return this.#host.tunnels.find(message.ch)?.ack(message.upto);
      case 'eof':
        return this.#host.tunnels.find(message.ch)?.receiveEnd();
      case 'close':
        this.#streams.get(message.ch)?.close();
        return this.#host.tunnels.find(message.ch)?.closedByServer(message.error);
      case 'probe':
        return this.#host.probe();
      case 'shutdown':
        return this.#host.shutdown();
    }
  }

  #open(message: ServerMessage & { t: 'open' }): void {
    const { ch, attempt, stream } = message;
    if (ch % 2 !== 0 || this.#streams.has(ch))
      throw new CodedError('worker.protocol_violation', `channel ${ch} is not free for the server to open`);
    const job = this.#host.jobs.find(attempt);
    if (!job || !(stream === 'out' || stream === 'err' || stream.startsWith('file:')))
      return this.#socket.send({ t: 'close', ch, error: 'absent' });
    this.#streams.set(ch, new FileChannel(this.#socket, job, message, () => this.#streams.delete(ch)));
  }

  async #checkpoint({ attempt, request, limits, known }: ServerMessage & { t: 'checkpoint' }): Promise<void> {
    try {
      const job = this.#host.jobs.find(attempt);
      if (!job) throw new CodedError('checkpoint.refused', 'the job is not on this worker');
      const isNew = await job.checkpoint({ cause: 'asked', request, limits, ...(known !== undefined && { known }) });
      if (!isNew) throw new CodedError('checkpoint.unchanged', 'nothing has changed');
    } catch (error) {
      const code = error instanceof CodedError ? error.code : 'checkpoint.failed';
      if (!(error instanceof CodedError)) this.#host.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
      this.#socket.send({ t: 'unrecorded', attempt, request, code, message: error instanceof Error ? error.message : String(error) });
    }
  }

  async #tidy({ request, limits, dryRun }: ServerMessage & { t: 'tidy' }): Promise<void> {
    try {
      this.#socket.send({ t: 'tidied', request, items: await this.#host.tidy(limits, dryRun) });
    } catch (error) {
      this.#host.log(`tidying failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      this.#socket.send({ t: 'tidied', request, items: [] });
    }
  }

  #takeRequest({ request, attempt, text, isLast }: ServerMessage & { t: 'workspace' }): void {
    const whole = (this.#requests.get(request) ?? '') + text;
    if (whole.length > WORKSPACE_TEXT_CHARACTERS)
      throw new CodedError('worker.protocol_violation', `request ${request} has more than ${WORKSPACE_TEXT_CHARACTERS} characters`);
    if (!isLast) return void this.#requests.set(request, whole);
    this.#requests.delete(request);
    void this.#work(request, attempt, whole);
  }

  async #work(request: string, attempt: string, op: string): Promise<void> {
    let reply: WorkspaceReply;
    try {
      reply = { answer: await this.#host.desk.answer(attempt, op) };
    } catch (error) {
      const isCoded = error instanceof CodedError;
      if (!isCoded) this.#host.log(`work for attempt ${attempt} failed: ${error instanceof Error ? error.stack : String(error)}`);
      const message = error instanceof Error ? error.message : String(error);
      reply = { failure: isCoded ? error.toFact() : { code: 'workspace.failed', message } };
    }
    for (const piece of workspacePieces(JSON.stringify(reply))) {
      await this.#socket.room();
      this.#socket.send({ t: 'worked', request, ...piece });
    }
  }

  /** What is wrong with one job is said of that job; the link goes on. */
  #tryFor(attempt: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof CodedError && error.code === 'worker.protocol_violation') throw error;
      const code = error instanceof CodedError ? error.code : 'job.start_failed';
      if (!(error instanceof CodedError)) this.#host.log(`job ${attempt}: ${error instanceof Error ? error.stack : String(error)}`);
      this.#socket.send({ t: 'fault', code, message: error instanceof Error ? error.message : String(error), attempt });
    }
  }

  async #flush(): Promise<void> {
    this.#isFlushing = true;
    // One turn of the loop gathers what happens together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#unsent.size > 0 && this.#state === 'up') {
      await this.#socket.room();
      for (const report of this.#unsent.values()) {
        this.#unsent.delete(report.attempt);
        this.#socket.send({ t: 'job', job: report });
        if (this.#socket.isBusy) break;
      }
    }
    this.#isFlushing = false;
  }

  #refuse(code: string, message: string): void {
    this.#socket.send({ t: 'refused', code, message });
    this.end();
  }

  #endWithFault(error: unknown): void {
    const code = error instanceof CodedError ? error.code : 'api.internal';
    if (!(error instanceof CodedError)) this.#host.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    this.#socket.send({ t: 'fault', code, message: error instanceof Error ? error.message : String(error) });
    this.end();
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    for (const stream of this.#streams.values()) stream.close();
    this.#host.left(this);
  }
}
