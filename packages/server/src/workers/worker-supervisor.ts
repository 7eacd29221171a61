import { CodedError, type ErrorCode, type ErrorFact } from '@helixcode/protocol/errors';
import type { ServerId, WorkerId } from '@helixcode/protocol/ids';
import { capabilityLabels, vouchedLabels, type WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import { redialDelayMs } from '@helixcode/protocol/worker/redial-delay';
import type { WorkerCommand } from '@helixcode/protocol/worker/worker-state';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { DialGate } from './dial-gate.ts';
import type { JobBook, WorkerServices } from './job-book.ts';
import type { OutputWriter } from './output-writer.ts';
import type { SeenHostKey, WorkerTransport } from './transports/worker-transport.ts';
import { openWorkerLink, type Welcome, type WorkerLink } from './worker-link.ts';
import { moveWorker } from './worker-moves.ts';
import type { HostKeyRow, WorkerRow } from './worker-row.ts';
import { acceptHostKey, beginEpoch, noteHostKey, setFacts, setReason, type WorkerStanding } from './worker-sql.ts';

/** What waits for a person: dialling again by itself would change nothing, or do harm. */
const BLOCKING: ReadonlySet<ErrorCode> = new Set([
  'config.invalid',
  'worker.auth_refused',
  'worker.bootstrap_failed',
  'worker.disk_full',
  'worker.host_key_changed',
  'worker.host_key_revoked',
  'worker.host_key_unknown',
  'worker.no_shell',
  'worker.platform_unsupported',
  'worker.stale_epoch',
]);
/** How long a daemon may take from the first byte to its welcome: a machine under load is slow to look at itself. */
const WELCOME_TIMEOUT_MS = 15_000;
/** An older agent is asked this often to make room for the new one, then used as it is. */
const UPGRADES_IN_A_ROW = 2;

/** Why the jobs of a worker are given up. */
export interface LostReason {
  code: 'job.lost';
  message: string;
}

export interface SupervisorContext {
  db: Db;
  log: Logger;
  serverId: ServerId;
  transport: WorkerTransport;
  gate: DialGate;
  book: JobBook;
  services: WorkerServices;
  output: OutputWriter;
  heartbeatMs: number;
  lostAfterMs: number;
  /** The agent that workers should run. */
  agentHash: string;
  passwordOf(worker: WorkerRow): Promise<string | undefined>;
  /** A transaction with events was committed. */
  wakeEvents(): void;
  /** Something changed that may let work be placed. */
  changed(): void;
  /** It has been silent for too long. */
  whenLost(worker: WorkerId, reason: LostReason, isRemoved: boolean): Promise<void>;
  noteBeat(worker: WorkerId, load: WorkerLoad, warmProjects: readonly string[]): void;
  /** Whether that agent is given out by a server of a newer release that is there too: the newer one stays. */
  isNewerAgent(agent: string): boolean;
}

/**
 * One worker. Where this server holds it: keeps the link, dials, tells the books how it goes, and dials again. Where
 * another one does: what that one has written of it last.
 */
export class WorkerSupervisor {
  row: WorkerRow;
  hostKeys: HostKeyRow[];
  load: WorkerLoad | undefined;
  lastSeenAt: Date | undefined;
  warmProjects: ReadonlySet<string> = new Set();
  labels: ReadonlySet<string> = new Set();
  readonly #context: SupervisorContext;
  /** The link, from its first byte to its last. */
  #opened: WorkerLink | undefined;
  /** The same, while work may be sent through it. */
  #link: WorkerLink | undefined;
  #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  /** Moves are made one after the other, in the order of what happened. */
  #moves: Promise<unknown> = Promise.resolve();
  #silentSinceMs = performance.now();
  /** Another server holds it. */
  #isMirror = false;
  #failures = 0;
  #upgrades = 0;

  constructor(row: WorkerRow, hostKeys: HostKeyRow[], context: SupervisorContext) {
    this.row = row;
    this.hostKeys = hostKeys;
    this.#context = context;
    this.#refreshLabels();
  }

  /** The link, while it may be used for work. */
  get link(): WorkerLink | undefined {
    return this.#link;
  }

  /** How long nothing has been heard of it in milliseconds; 0 while it has a link. */
  get silentMs(): number {
    return this.isConnected ? 0 : performance.now() - this.#silentSinceMs;
  }

  /** Whether there is a link to it, from whichever server. */
  get isConnected(): boolean {
    return this.#isMirror ? this.row.state === 'up' || this.row.state === 'degraded' : this.#link !== undefined;
  }

  get slots(): number {
    return this.row.slots ?? this.row.facts?.cores ?? 1;
  }

  /** Takes over what the server that holds it has written of it. */
  mirror(standing: WorkerStanding): void {
    this.#isMirror = true;
    this.#takeStanding(standing);
  }

  /** From now on this server holds it. */
  hold(standing: WorkerStanding): void {
    this.#isMirror = false;
    this.#takeStanding(standing);
  }

  /** What others than its holder may change: how it is reached and what it may be given. */
  takeSettings({ address, admission, slots, labels }: WorkerRow): void {
    this.row = { ...this.row, address, admission, slots, labels };
    this.#refreshLabels();
  }

  #takeStanding({ silent_ms, load, seen_at, warm_projects, is_held: _, ...row }: WorkerStanding): void {
    this.row = row;
    this.load = load ?? undefined;
    this.lastSeenAt = seen_at ?? undefined;
    this.warmProjects = new Set(warm_projects);
    this.#silentSinceMs = performance.now() - (silent_ms ?? 0);
    this.#refreshLabels();
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#running = this.#keepConnected(this.#stopping.signal);
  }

  /** Closes the link and dials no more. The daemon and its jobs go on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#opened?.close(letGo(this.row.name));
    this.#wake?.();
    await this.#running;
    await this.#moves;
  }

  /** Dials now, also when it was blocked. Whoever asked is told how it goes: what follows is news again. */
  async dialNow(): Promise<void> {
    const reason = this.row.reason ?? undefined;
    if (this.row.state === 'blocked') await this.move('unblock', reason);
    if (this.row.state === 'suspect' || this.row.state === 'lost') await this.move('probe', reason);
    this.#failures = 0;
    this.#wake?.();
  }

  /** The worker has connected by itself: an older link is dead, be that noticed or not. */
  takeDialIn(): void {
    this.#opened?.close(new CodedError('worker.link_lost', `${this.row.name} has dialled in anew`));
    this.#wake?.();
  }

  /** Takes over what its operator vouches for now. */
  setLabels(labels: string[]): void {
    this.row = { ...this.row, labels };
    this.#refreshLabels();
  }

  /** Ends the present link and dials anew. */
  redial(why: string): void {
    this.#failures = 0;
    this.#link?.close(new CodedError('worker.link_lost', why));
  }

  move(command: WorkerCommand, reason?: ErrorFact): Promise<void> {
    const made = this.#moves.then(async () => {
      const { db, log, wakeEvents, changed } = this.#context;
      const move = await moveWorker(db, this.row.id, this.#context.serverId, command, reason);
      if (!move) return;
      this.row = { ...this.row, state: move.to, reason: reason ?? null };
      log.info(
        { worker: this.row.id, name: this.row.name, from: move.from, to: move.to, ...(reason && { reason: reason.message }) },
        'worker moved',
      );
      wakeEvents();
      changed();
    });
    this.#moves = made.catch(() => {});
    return made;
  }

  async #keepConnected(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#isBlocked()) {
        await this.#pause(undefined);
        continue;
      }
      const error = await this.#dialOnce(signal).catch(asCoded);
      if (signal.aborted) return;
      try {
        await this.#takeFailure(error);
      } catch (cause) {
        // The database is away: the state is told late, the dialling goes on.
        this.#context.log.error({ err: cause, worker: this.row.id }, 'the state of a worker could not be written');
      }
      // Who is waited for comes when it comes, and goes about its pauses itself; a database that is away does not.
      const isPaused = !this.#context.transport.isAwaited || error.code === 'database.unavailable';
      if (!this.#isBlocked() && isPaused) await this.#pause(redialDelayMs(this.#failures++));
    }
  }

  #isBlocked(): boolean {
    return this.row.state === 'blocked';
  }

  /** @returns why there is no link (any more) */
  async #dialOnce(signal: AbortSignal): Promise<CodedError> {
    const { db, transport, gate } = this.#context;
    const leave = transport.isAwaited ? () => {} : await gate.enter(signal);
    try {
      // People should see that something happens; a worker that is away is not told of until it shows a sign of life.
      if (this.row.state === 'new' && this.row.transport === 'ssh') await this.move('probe');
      const password = await this.#context.passwordOf(this.row);
      const stream = await transport.connect(
        { worker: this.row, password, hostKeys: this.hostKeys },
        { onStep: (step) => this.#takeStep(step), onHostKey: (key) => this.#takeHostKey(key) },
        signal,
      );
      let epoch: number;
      try {
        epoch = await beginEpoch(db, this.row.id, this.#context.serverId);
      } catch (error) {
        stream.destroy();
        throw error;
      }
      return await this.#serve(stream, epoch, leave, signal);
    } finally {
      leave();
    }
  }

  async #takeStep(step: 'probe' | 'install' | 'connect'): Promise<void> {
    if (step === 'probe' && this.row.state === 'probing') return;
    await this.move(step, this.row.reason ?? undefined);
  }

  /** Runs the link until it ends. */
  #serve(stream: Parameters<typeof openWorkerLink>[0], epoch: number, onWelcome: () => void, signal: AbortSignal): Promise<CodedError> {
    const { serverId, heartbeatMs, book, services, output, log, changed } = this.#context;
    return new Promise((resolve) => {
      let isUpgrading = false;
      const link = openWorkerLink(
        stream,
        {
          worker: this.row.id,
          workerName: this.row.name,
          serverId,
          epoch,
          heartbeatMs,
          welcomeTimeoutMs: WELCOME_TIMEOUT_MS,
          book,
          services,
          output,
          log,
          slots: () => this.slots,
        },
        {
          onWelcome: (welcome) => {
            onWelcome();
            isUpgrading = this.#shouldUpgrade(welcome);
            if (isUpgrading) {
              link.shutdown();
              return;
            }
            this.#link = link;
            this.#takeWelcome(welcome);
          },
          onBeat: (load, warmProjects) => this.#takeBeat(load, warmProjects),
          onFacts: (facts) => {
            this.row = { ...this.row, facts };
            this.#refreshLabels();
            this.#later(setFacts(this.#context.db, this.row.id, facts, this.row.agent ?? ''));
            changed();
          },
          onMissed: (beats) => {
            if (beats === 0) this.#later(this.move('beat'));
            if (beats === 1) this.#later(this.move('missBeat', silentFact(this.row.name, heartbeatMs)));
          },
          onClose: (error) => {
            if (this.#link === link) {
              this.#link = undefined;
              this.#silentSinceMs = link.heardAtMs();
            }
            if (this.#opened === link) this.#opened = undefined;
            if (isUpgrading) this.#failures = 0;
            resolve(isUpgrading ? new CodedError('worker.link_lost', `the agent on ${this.row.name} makes room for a newer one`) : error);
          },
        },
      );
      this.#opened = link;
      if (signal.aborted) link.close(letGo(this.row.name));
    });
  }

  #shouldUpgrade({ agent }: Welcome): boolean {
    const { agentHash, isNewerAgent } = this.#context;
    if (agent === agentHash || this.#upgrades >= UPGRADES_IN_A_ROW || isNewerAgent(agent)) return false;
    this.#upgrades += 1;
    return true;
  }

  #takeWelcome({ facts, agent, load, warmProjects }: Welcome): void {
    this.#failures = 0;
    this.#upgrades = 0;
    this.row = { ...this.row, facts, agent };
    this.#refreshLabels();
    this.#takeBeat(load, warmProjects);
    this.#later(setFacts(this.#context.db, this.row.id, facts, agent));
    this.#later(this.move('welcome'));
  }

  #takeBeat(load: WorkerLoad, warmProjects: readonly string[]): void {
    this.load = load;
    this.lastSeenAt = new Date();
    this.warmProjects = new Set(warmProjects);
    this.#context.noteBeat(this.row.id, load, warmProjects);
  }

  async #takeHostKey(key: SeenHostKey): Promise<void> {
    const { db } = this.#context;
    const { id } = this.row;
    await noteHostKey(db, id, key);
    if (key.isTrusted) await acceptHostKey(db, id, key.fingerprint);
    const now = new Date();
    const known = this.hostKeys.filter(({ fingerprint }) => fingerprint !== key.fingerprint);
    const before = this.hostKeys.find(({ fingerprint }) => fingerprint === key.fingerprint);
    this.hostKeys = [
      ...known,
      {
        worker_id: id,
        key_type: key.type,
        public_key: key.publicKey,
        fingerprint: key.fingerprint,
        seen_at: now,
        accepted_at: key.isTrusted ? now : (before?.accepted_at ?? null),
        revoked_at: before?.revoked_at ?? null,
      },
    ];
  }

  async #takeFailure(error: CodedError): Promise<void> {
    // It only asked to wait for its turn: nothing is wrong with the machine.
    if (error.details?.['isOverloaded'] === true) {
      this.#failures = Math.min(this.#failures, 1);
      if (this.row.state === 'new') return;
    }
    const fact = error.toFact();
    if (error.code === 'api.internal') this.#context.log.error({ err: error.cause, worker: this.row.id }, error.message);
    if (BLOCKING.has(error.code)) return this.move('block', fact);
    const { state } = this.row;
    if (state === 'suspect' || state === 'lost') {
      this.row = { ...this.row, reason: fact };
      await setReason(this.#context.db, this.row.id, fact);
    } else await this.move('drop', fact);
    await this.#giveUpIfSilent(fact);
  }

  async #giveUpIfSilent(fact: ErrorFact): Promise<void> {
    const { lostAfterMs, whenLost } = this.#context;
    if (this.row.state !== 'suspect' || performance.now() - this.#silentSinceMs < lostAfterMs) return;
    await this.move('giveUp', fact);
    await whenLost(
      this.row.id,
      { code: 'job.lost', message: `${this.row.name} has been out of reach for ${Math.round(lostAfterMs / 1000)} s: ${fact.message}` },
      false,
    );
  }

  /** @param delayMs absent: until woken */
  async #pause(delayMs: number | undefined): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = delayMs === undefined ? undefined : setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** What is written beside the link: when the database is away, the link goes on and the next news brings it again. */
  #later(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#context.log.error({ err: error, worker: this.row.id }, 'news of a worker could not be written'));
  }

  #refreshLabels(): void {
    const { facts, labels } = this.row;
    this.labels = new Set(facts ? capabilityLabels(facts, labels) : vouchedLabels(labels));
  }
}

function letGo(name: string): CodedError {
  return new CodedError('worker.link_lost', `the server let go of ${name}`);
}

function silentFact(name: string, heartbeatMs: number): ErrorFact {
  return { code: 'worker.link_lost', message: `${name} has missed a beat of ${heartbeatMs} ms` };
}

function asCoded(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError('api.internal', `dialling failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
