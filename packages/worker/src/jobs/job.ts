import { type FSWatcher, watch } from 'node:fs';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import { diskFullError, isDiskFull } from '../home/disk-space.ts';
import type { CheckpointOrder, Recorded } from '../workspace/checkpoints.ts';
import { OneAtATime } from '../workspace/one-at-a-time.ts';
import type { JobFolder, StopOrder } from './job-folder.ts';
import { isOwedCheckpoint, reportJob } from './job-state.ts';
import type { Launcher, LaunchNews } from './launcher.ts';
import { signalJob } from './process-table.ts';
import { environmentFault } from './shim.ts';
import { commandWord, isShimAlive } from './shim-files.ts';
import { withShortStreams } from './short-streams.ts';
import { startFolderOf } from './start-folder.ts';

/** A supervisor that has not begun after this time is started again; of two, only one can begin. */
const BEGIN_AGAIN_MS = 10_000;
const BEGIN_ATTEMPTS = 3;
/** How often processes that ignored TERM, or appeared since, are killed. */
const KILL_EVERY_MS = 200;

/** Makes the place ready in which a job runs, and keeps what it made. */
export interface JobWorkspaces {
  /** @returns the folder that is the root of the job's files */
  prepare(folder: JobFolder, spec: JobSpec, environment: Record<string, string>, signal: AbortSignal): Promise<string>;
  /** @returns the hash under which the server has the archive of what matches `spec.outputs`, or why it has none */
  storeOutputs(folder: JobFolder, spec: JobSpec): Promise<{ blob?: string; reason?: ErrorFact }>;
  /**
   * Records the checkout and brings it to the server.
   * @param known what the last one returned; @returns what the checkout held, `undefined` when that was `known`
   */
  recordCheckpoint(
    folder: JobFolder,
    spec: JobSpec,
    known: Recorded | undefined,
    order: CheckpointOrder,
    signal: AbortSignal,
  ): Promise<Recorded | undefined>;
  /** Takes the working tree back once nothing of the job runs in it any more. */
  release(folder: JobFolder): void;
}

/** What a job needs of the daemon. */
export interface JobSurroundings {
  launcher: Launcher;
  workspaces: JobWorkspaces;
  /** Ends what runs beside the command of a job that is over; resolves when nothing of it runs. */
  endCommands(job: Job): Promise<void>;
  /** What every job inherits before its own variables. */
  baseEnvironment: Record<string, string>;
  onReport(report: JobReport): void;
  /** How long nothing has been heard of the server in milliseconds. */
  serverSilentMs(): number;
  log(line: string): void;
}

/** One attempt, from its assignment until the server has all of it. */
export class Job {
  readonly folder: JobFolder;
  readonly spec: JobSpec;
  readonly #around: JobSurroundings;
  #report: JobReport;
  #preparation: AbortController | undefined;
  /** Settles when nothing works on its checkout any more, however that went. */
  #prepared: Promise<void> = Promise.resolve();
  #launches = 0;
  #launchedAtMs = 0;
  #limitTimer: NodeJS.Timeout | undefined;
  #killTimer: NodeJS.Timeout | undefined;
  #isStoringOutputs = false;
  #isTakingLastCheckpoint = false;
  #checkpointTimer: NodeJS.Timeout | undefined;
  /** What the checkout held at the newest checkpoint. */
  #recorded: Recorded | undefined;
  readonly #recording = new OneAtATime();
  readonly #closing = new AbortController();
  #secrets: Record<string, string> = {};
  #root = '';
  #watcher: FSWatcher | undefined;
  readonly #growthListeners = new Set<() => void>();

  constructor(folder: JobFolder, spec: JobSpec, around: JobSurroundings) {
    this.folder = folder;
    this.spec = spec;
    this.#around = around;
    this.#report = reportJob(folder, spec, false);
  }

  /** @returns where it stands, as of the last look at its files */
  get report(): JobReport {
    return this.#report;
  }

  get isOver(): boolean {
    return isOver(this.#report.state);
  }

  /** Neither begun nor being made ready: a daemon ended before it could. */
  get isIdle(): boolean {
    return this.#report.state === 'assigned' && !this.#preparation && this.#launches === 0;
  }

  /** Whether something has to be put into its folder before it can begin. */
  get #needsPlace(): boolean {
    return this.spec.workspace !== undefined || (this.spec.inputs?.length ?? 0) > 0;
  }

  /** Makes its place ready and starts the command. */
  begin(secrets: Record<string, string>): void {
    const fault = environmentFault({ ...this.spec.env, ...secrets });
    if (fault) return this.#refuse(new CodedError('job.start_failed', fault, { next: 'correct the environment of the task' }));
    this.#secrets = secrets;
    this.#preparation = new AbortController();
    if (!this.#needsPlace) return this.#launch(this.folder.workFolder);
    const begunMs = performance.now();
    this.refresh();
    const { signal } = this.#preparation;
    this.#prepared = this.#around.workspaces
      .prepare(this.folder, this.spec, { ...this.#around.baseEnvironment, ...this.#ownEnvironment() }, signal)
      .then(
        (root) => {
          if (signal.aborted) return;
          this.folder.writePrepareMs(performance.now() - begunMs);
          this.#launch(root);
        },
        (error) => {
          if (!signal.aborted) this.#refuse(error);
        },
      );
  }

  /** Takes over a job that another daemon of this worker started. */
  adopt(): void {
    this.refresh();
    if (this.isOver) return this.#settle();
    this.#watch();
    const stop = this.folder.readStop();
    if (!stop) return;
    if (this.#report.state === 'assigned') this.#end('cancelled', stop.reason);
    else this.#stopProcesses(Math.max(0, stop.at + stop.graceMs - Date.now()));
  }

  hear(news: LaunchNews): void {
    this.refresh();
    if (news.what === 'failed' && this.#report.state !== 'running' && !this.isOver)
      this.#refuse(new CodedError('job.start_failed', `the folder of job ${this.folder.attempt} could not be used`));
  }

  /** Looks at the files, reports what is new, and does what follows from it. */
  refresh(): void {
    if (this.isOver) return;
    const before = this.#report;
    this.#report = reportJob(this.folder, this.spec, this.#preparation !== undefined || (this.#launches > 0 && this.#needsPlace));
    if (this.#report.state === 'running') {
      this.#secrets = {};
      this.#guardLimits();
      this.#recordRegularly();
      this.#recordLastOnceOver();
    }
    if (this.#report.state === 'running' && this.spec.outputs?.length) this.#storeOutputsOnceOver();
    if (this.isOver) this.#settle();
    if (before.state !== this.#report.state)
      this.#around.onReport(this.isOver ? withShortStreams(this.folder, this.#report) : this.#report);
    for (const listener of this.#growthListeners) listener();
  }

  /** The regular look at what nobody announced. */
  tick(): void {
    this.refresh();
    this.#stopWithoutServer();
    const hasBegun = this.isOver || this.#report.state === 'running';
    const isLate = this.#launches > 0 && !hasBegun && performance.now() - this.#launchedAtMs > BEGIN_AGAIN_MS;
    if (!isLate) return;
    if (this.#launches < BEGIN_ATTEMPTS) this.#launch(this.#root);
    else this.#refuse(new CodedError('job.start_failed', `no shell could be started for job ${this.folder.attempt}`));
  }

  /**
   * Records the checkout while the command works in it.
   * @returns whether there was something new to bring
   * @throws CodedError `checkpoint.refused` when there is nothing to record, `checkpoint.failed`
   */
  async checkpoint(order: CheckpointOrder): Promise<boolean> {
    if (this.#report.state !== 'running')
      throw new CodedError('checkpoint.refused', `the job is ${this.#report.state}: only a running one can be recorded`);
    return this.#recording.run('', async () => {
      const recorded = await this.#around.workspaces.recordCheckpoint(this.folder, this.spec, this.#recorded, order, this.#closing.signal);
      this.#recorded = recorded ?? this.#recorded;
      return recorded !== undefined;
    });
  }

  /** Stops what the job runs, also what a lost one left behind. Safe to repeat. */
  cancel(graceMs: number): void {
    this.refresh();
    const reason: ErrorFact = { code: 'task.cancelled', message: 'the job was cancelled' };
    if (this.isOver) {
      if (this.#report.state === 'lost') this.#stopProcesses(graceMs);
      this.#around.onReport(this.#report);
      return;
    }
    if (this.#launches === 0 && this.#report.state !== 'running') {
      this.#preparation?.abort();
      return this.#end('cancelled', reason);
    }
    // A supervisor that is just beginning is stopped as soon as it shows.
    this.#stop({ kind: 'cancel', reason, graceMs });
  }

  /** Ends every process that a finished job left. */
  killLeftovers(): void {
    signalJob(this.folder.attempt, undefined, 'SIGKILL');
  }

  /** @param listener called whenever the output may have grown, and when the job is over; @returns how to leave */
  onGrowth(listener: () => void): () => void {
    this.#growthListeners.add(listener);
    if (!this.isOver) this.#watch();
    return () => {
      this.#growthListeners.delete(listener);
    };
  }

  close(): void {
    this.#preparation?.abort();
    this.#closing.abort();
    this.#watcher?.close();
    clearTimeout(this.#limitTimer);
    clearTimeout(this.#killTimer);
    clearTimeout(this.#checkpointTimer);
  }

  #launch(root: string): void {
    this.#root = root;
    try {
      const startFolder = startFolderOf(root, this.spec.cwd);
      this.#launches++;
      this.#launchedAtMs = performance.now();
      this.#around.launcher.launch({
        attempt: this.folder.attempt,
        folder: this.folder.path,
        startFolder,
        command: commandWord(this.folder.path, this.spec.command),
        environment: this.#ownEnvironment(),
      });
      this.#preparation = undefined;
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** The root of its files. */
  get root(): string {
    return this.folder.readLease() ?? this.folder.workFolder;
  }

  /** Its command is running, and nothing has been done to end it. */
  get isAtWork(): boolean {
    return this.#report.state === 'running' && !this.folder.readExit() && !this.folder.readStop();
  }

  /** What other commands in its checkout find in their environment: all but its secrets, which are nowhere once it runs. */
  get openEnvironment(): Record<string, string> {
    return { TMPDIR: this.folder.tmpFolder, ...this.spec.env, HELIX_OUTPUT_DIR: this.folder.leftFolder };
  }

  #ownEnvironment(): Record<string, string> {
    return { ...this.openEnvironment, ...this.#secrets, HELIX_OUTPUT_DIR: this.folder.leftFolder };
  }

  #refuse(error: unknown): void {
    if (isDiskFull(error)) return this.#end('refused', diskFullError(this.folder.path, error).toFact());
    if (error instanceof CodedError) return this.#end('refused', error.toFact());
    this.#around.log(`job ${this.folder.attempt} could not begin: ${error instanceof Error ? error.stack : String(error)}`);
    this.#end('refused', {
      code: 'job.start_failed',
      message: `the job could not begin: ${error instanceof Error ? error.message : String(error)}`,
    });
  }

  /** Ends a job whose command never began. Where even that cannot be written down, this daemon remembers it. */
  #end(state: 'refused' | 'cancelled', reason: ErrorFact): void {
    this.#preparation = undefined;
    try {
      this.folder.writeEnd({ state, reason });
      this.refresh();
    } catch (error) {
      this.#around.log(`the end of job ${this.folder.attempt} could not be written: ${String(error)}`);
      this.#report = { attempt: this.folder.attempt, state, reason, streams: {} };
      this.#settle();
      this.#around.onReport(this.#report);
    }
  }

  #guardLimits(): void {
    const { timeoutMs, outputLimitBytes, killGraceMs } = this.spec;
    if (timeoutMs !== undefined && !this.#limitTimer) {
      const leftMs = Math.max(0, timeoutMs - (this.#report.wallMs ?? 0));
      const reason: ErrorFact = {
        code: 'job.timed_out',
        message: `the command ran longer than its timeoutMs of ${timeoutMs} and was stopped`,
        details: { timeoutMs },
      };
      this.#limitTimer = setTimeout(() => this.#stop({ kind: 'limit', reason, graceMs: killGraceMs }), Math.min(leftMs, 2 ** 31 - 1));
    }
    for (const stream of ['out', 'err'] as const) {
      if (this.folder.writtenBytes(stream) <= outputLimitBytes) continue;
      this.#stop({
        kind: 'limit',
        reason: {
          code: 'output.too_large',
          message: `the command wrote more than ${outputLimitBytes} bytes to ${stream === 'out' ? 'stdout' : 'stderr'} and was stopped`,
          details: { stream, outputLimitBytes },
        },
        graceMs: killGraceMs,
      });
    }
  }

  #stopWithoutServer(): void {
    const { stopWithoutServerMs, killGraceMs } = this.spec;
    if (stopWithoutServerMs === undefined || this.#report.state !== 'running' || this.#around.serverSilentMs() < stopWithoutServerMs)
      return;
    if (this.folder.readStop()) return;
    const reason: ErrorFact = {
      code: 'job.lost',
      message: `the worker stopped the job: it had heard nothing of the server for ${stopWithoutServerMs} ms`,
      details: { cause: 'server_silent', stopWithoutServerMs },
    };
    this.#stop({ kind: 'orphaned', reason, graceMs: killGraceMs });
  }

  #stop(order: { kind: StopOrder['kind']; reason: ErrorFact; graceMs: number }): void {
    if (this.isOver || this.folder.readExit()) return;
    try {
      const standing = this.folder.writeStop({ ...order, at: Date.now() });
      if (standing.at + standing.graceMs < Date.now()) order.graceMs = 0;
    } catch (error) {
      // A full disk: what is stopped is then reported as what it did on TERM.
      this.#around.log(`the order to stop job ${this.folder.attempt} could not be written: ${String(error)}`);
    }
    this.#stopProcesses(order.graceMs);
  }

  #stopProcesses(graceMs: number): void {
    signalJob(this.folder.attempt, this.#supervisor(), 'SIGTERM');
    if (this.#killTimer) return;
    const kill = (): void => {
      this.#killTimer = undefined;
      this.refresh();
      const left = signalJob(this.folder.attempt, this.#supervisor(), 'SIGKILL');
      if (left > 0 || !this.isOver) this.#killTimer = setTimeout(kill, KILL_EVERY_MS);
    };
    this.#killTimer = setTimeout(kill, graceMs);
  }

  /** Only of a living one: its number may belong to somebody else by now. */
  #supervisor(): number | undefined {
    const start = this.folder.readStart();
    return start && start !== 'unreadable' && isShimAlive(start, this.folder.path) ? start.pid : undefined;
  }

  #storeOutputsOnceOver(): void {
    if (this.#isStoringOutputs || this.folder.readExit()?.exitCode !== 0 || this.folder.readStop()) return;
    this.#isStoringOutputs = true;
    this.killLeftovers();
    this.#around.workspaces
      .storeOutputs(this.folder, this.spec)
      .catch((error): { reason: ErrorFact } => {
        const coded = isDiskFull(error) ? diskFullError(this.folder.path, error) : error;
        if (coded instanceof CodedError) return { reason: coded.toFact() };
        this.#around.log(`outputs of job ${this.folder.attempt} could not be stored: ${String(error)}`);
        return { reason: { code: 'workspace.failed', message: `the outputs could not be stored: ${String(error)}` } };
      })
      .then((outputs) => {
        this.folder.writeOutputs(outputs);
        this.refresh();
      })
      .catch((error) => {
        this.#isStoringOutputs = false; // The next look tries again.
        this.#around.log(`the outputs of job ${this.folder.attempt} could not be recorded: ${String(error)}`);
      });
  }

  #recordRegularly(): void {
    const { checkpoint, workspace } = this.spec;
    if (checkpoint?.everyMs === undefined || !workspace || this.#checkpointTimer) return;
    const { everyMs, limits } = checkpoint;
    const record = (): void => {
      if (this.isOver || this.folder.readExit()) return;
      this.checkpoint({ cause: 'interval', limits })
        .catch((error) => {
          if (!this.#closing.signal.aborted) this.#around.log(`a checkpoint of job ${this.folder.attempt} failed: ${String(error)}`);
        })
        .finally(() => {
          if (!this.isOver && !this.#closing.signal.aborted) this.#checkpointTimer = setTimeout(record, everyMs);
        });
    };
    this.#checkpointTimer = setTimeout(record, everyMs);
  }

  #recordLastOnceOver(): void {
    const exit = this.folder.readExit();
    const endedBadly = exit !== undefined && (exit.exitCode !== 0 || this.folder.readStop() !== undefined);
    if (this.#isTakingLastCheckpoint || !this.spec.checkpoint || !isOwedCheckpoint(this.folder, this.spec, endedBadly)) return;
    this.#isTakingLastCheckpoint = true;
    this.killLeftovers();
    this.checkpoint({ cause: 'end', limits: this.spec.checkpoint.limits })
      .catch((error) => {
        if (this.#closing.signal.aborted) throw error;
        this.#around.log(`the last checkpoint of job ${this.folder.attempt} failed: ${String(error)}`);
      })
      .then(() => {
        this.folder.writeLastCheckpoint();
        this.refresh();
      })
      .catch((error) => {
        this.#isTakingLastCheckpoint = false; // The next look tries again.
        this.#around.log(`the last checkpoint of job ${this.folder.attempt} could not be noted: ${String(error)}`);
      });
  }

  #settle(): void {
    clearTimeout(this.#limitTimer);
    clearTimeout(this.#checkpointTimer);
    this.#watcher?.close();
    this.#watcher = undefined;
    const commandsOver = this.#around.endCommands(this);
    if (!this.spec.workspace) return;
    this.#prepared
      .then(() => commandsOver)
      .then(() => {
        if (!this.folder.readLease()) return;
        this.killLeftovers();
        this.#around.workspaces.release(this.folder);
      })
      .catch((error) => this.#around.log(`the checkout of job ${this.folder.attempt} could not be taken back: ${String(error)}`));
  }

  #watch(): void {
    if (this.#watcher || this.isOver) return;
    try {
      this.#watcher = watch(this.folder.path, (_event, name) => {
        if (name === 'rc' || name === 'start') this.refresh();
        else for (const listener of this.#growthListeners) listener();
      });
      this.#watcher.on('error', () => {});
    } catch {
      // No watches left on this machine: the regular look finds the growth.
    }
  }
}
