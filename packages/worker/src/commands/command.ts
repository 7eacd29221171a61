import { type FSWatcher, watch } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { CommandResult } from '@helixcode/protocol/worker/workspace';
import type { Job } from '../jobs/job.ts';
import type { Launcher } from '../jobs/launcher.ts';
import { processesWith, signalAll } from '../jobs/process-table.ts';
import { commandMark } from '../jobs/shim.ts';
import { begunAtMs, commandWord, isShimAlive, type ShimStart } from '../jobs/shim-files.ts';
import type { CommandFolder, CommandStop, StoredCommand } from './command-folder.ts';

/** The regular look at what nobody announced. */
const TICK_MS = 500;
/** A chatty writer is looked at this often. */
const GROWTH_PACE_MS = 10;
/** A supervisor that has not begun after this time is started again; of two, only one can begin. */
const BEGIN_AGAIN_MS = 10_000;
const BEGIN_ATTEMPTS = 3;
/** Between TERM and KILL. */
const STOP_GRACE_MS = 1_000;
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 200;

/** Where a command is to run. */
export interface CommandPlace {
  /** Whose files it works on. */
  job: Job;
  /** Absolute. */
  startFolder: string;
}

/** Puts something around a command before it is started, such as a sandbox. */
export type WrapCommand = (command: string, place: CommandPlace) => { command: string };

/** What a command needs of the daemon. */
export interface CommandSurroundings {
  launcher: Pick<Launcher, 'launch'>;
  wrap: WrapCommand;
  log(line: string): void;
}

/** One command of a job that is not over: looks after its limits and tells how it ended. */
export class RunningCommand {
  /** How it ended. @throws CodedError `workspace.command_lost`, `workspace.gone` */
  readonly result: Promise<CommandResult>;
  readonly #settle: PromiseWithResolvers<CommandResult>;
  readonly #job: Job;
  readonly #folder: CommandFolder;
  readonly #stored: StoredCommand;
  readonly #cookie: string;
  readonly #around: CommandSurroundings;
  readonly #ticker: NodeJS.Timeout;
  #watcher: FSWatcher | undefined;
  #limitTimer: NodeJS.Timeout | undefined;
  #growthTimer: NodeJS.Timeout | undefined;
  #launches = 0;
  #launchedAtMs = 0;
  #stopping: Promise<void> | undefined;
  #graceUntilMs = Infinity;
  #isOver = false;
  #isClosed = false;

  constructor(job: Job, folder: CommandFolder, stored: StoredCommand, around: CommandSurroundings) {
    this.#settle = Promise.withResolvers();
    this.result = this.#settle.promise;
    this.result.catch(() => {}); // Nobody may be waiting any more.
    this.#job = job;
    this.#folder = folder;
    this.#stored = stored;
    this.#cookie = `HELIX_COMMAND=${commandMark(job.folder.attempt, folder.name)}`;
    this.#around = around;
    this.#watch();
    this.#ticker = setInterval(() => this.#guarded(() => this.#tick()), TICK_MS);
  }

  get request(): StoredCommand['request'] {
    return this.#stored.request;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  launch(): void {
    this.#launches++;
    this.#launchedAtMs = performance.now();
    const { startFolder, request } = this.#stored;
    const { command } = this.#around.wrap(request.command, { job: this.#job, startFolder });
    this.#around.launcher.launch({
      attempt: this.#job.folder.attempt,
      commandName: this.#folder.name,
      folder: this.#folder.path,
      startFolder,
      command: commandWord(this.#folder.path, command),
      environment: this.#job.openEnvironment,
    });
  }

  /** Goes on with one that a daemon before this one took: also where it ended before the command could begin. */
  adopt(): void {
    if (this.#folder.readStart() === undefined) this.launch();
    else this.#tick();
    if (!this.#isOver && this.#folder.readStop()) void this.#endProcesses(0);
  }

  /** The supervisor said that it could not begin. */
  failed(): void {
    if (this.#folder.readStart() === undefined) this.#lose(`the folder ${this.#stored.startFolder} could not be entered`);
    else this.look();
  }

  /** Looks at the files, and does what follows from them. */
  look(): void {
    this.#guarded(() => this.#look());
  }

  #look(): void {
    if (this.#isOver || this.#isClosed) return;
    const exit = this.#folder.readExit();
    if (exit) {
      const result = this.#folder.result(exit, this.#stored.request);
      const endedWithJob = result.ending === 'signalled' && !this.#job.isAtWork;
      this.#finish(() => (endedWithJob ? this.#settle.reject(goneWith(this.#job)) : this.#settle.resolve(result)));
      return;
    }
    const start = this.#folder.readStart();
    if (start === undefined) return;
    this.#guardLimits(start);
  }

  /**
   * Ends the command and all it started.
   * @returns when nothing of it runs any more
   */
  stop(kind: CommandStop['kind'], graceMs = STOP_GRACE_MS): Promise<void> {
    // What has ended by itself has not been stopped.
    this.#guarded(() => {
      if (!this.#folder.readExit()) this.#folder.writeStop({ kind });
    });
    return this.#endProcesses(graceMs);
  }

  /** Lets go of it; it goes on. */
  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  #tick(): void {
    this.#look();
    if (this.#isOver || this.#isClosed) return;
    const start = this.#folder.readStart();
    if (start !== undefined) {
      // Asked in this order: a supervisor that was alive may have finished since.
      const isAlive = isShimAlive(start, this.#folder.path);
      if (!isAlive && !this.#folder.readExit())
        this.#lose('its supervisor was killed, or the machine was rebooted, before its exit status could be recorded');
      return;
    }
    if (this.#launches > 0 && performance.now() - this.#launchedAtMs < BEGIN_AGAIN_MS) return;
    if (this.#launches > 0 && this.#launches < BEGIN_ATTEMPTS) this.launch();
    else this.#lose('no shell could be started for it');
  }

  #guardLimits(start: ShimStart | 'unreadable'): void {
    const { timeoutMs, maxOutputBytes } = this.#stored.request;
    if (!this.#limitTimer) {
      const leftMs = Math.max(0, timeoutMs - (Date.now() - begunAtMs(start, this.#folder.path)));
      this.#limitTimer = setTimeout(() => void this.stop('timed_out'), Math.min(leftMs, 2 ** 31 - 1));
    }
    if (this.#folder.writtenBytes() > maxOutputBytes) void this.stop('output_limit');
  }

  /** Signals until nothing is left that carries its cookie, and its supervisor has said so. */
  #endProcesses(graceMs: number): Promise<void> {
    this.#graceUntilMs = Math.min(this.#graceUntilMs, performance.now() + graceMs);
    return (this.#stopping ??= this.#signalUntilGone());
  }

  async #signalUntilGone(): Promise<void> {
    signalAll(this.#cookie, this.#supervisor(), this.#graceUntilMs <= performance.now() ? 'SIGKILL' : 'SIGTERM');
    let isTermSent = this.#folder.readStart() !== undefined;
    for (let ms = FIRST_LOOK_MS; !this.#isClosed; ms = Math.min(ms * 2, LAST_LOOK_MS)) {
      await pause(ms);
      const supervisor = this.#supervisor();
      let left: number;
      if (performance.now() >= this.#graceUntilMs) left = signalAll(this.#cookie, supervisor, 'SIGKILL');
      else if (!isTermSent) {
        // It had not begun when it was to end.
        left = signalAll(this.#cookie, supervisor, 'SIGTERM');
        isTermSent = left > 0;
      } else left = processesWith(this.#cookie, supervisor).length;
      this.#guarded(() => this.#tick());
      if (left === 0 && this.#isOver) return;
    }
  }

  /** Only of a living one: its number may belong to somebody else by now. */
  #supervisor(): number | undefined {
    const start = this.#folder.readStart();
    return start && start !== 'unreadable' && isShimAlive(start, this.#folder.path) ? start.pid : undefined;
  }

  #lose(why: string): void {
    this.#finish(() => this.#settle.reject(lostCommand(this.#stored.id, why)));
  }

  #finish(settle: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#release();
    settle();
  }

  /** Files that cannot be read now, or a disk that is full, must not end the daemon: the next look tries again. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#around.log(
        `command ${this.#stored.id} of job ${this.#job.folder.attempt}: ${error instanceof Error ? error.stack : String(error)}`,
      );
    }
  }

  #release(): void {
    clearInterval(this.#ticker);
    clearTimeout(this.#limitTimer);
    clearTimeout(this.#growthTimer);
    this.#watcher?.close();
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#folder.path, (_event, name) => {
        if (name === 'rc' || name === 'start') this.look();
        else
          this.#growthTimer ??= setTimeout(() => {
            this.#growthTimer = undefined;
            this.look();
          }, GROWTH_PACE_MS);
      });
      this.#watcher.on('error', () => {});
    } catch {
      // No watches left on this machine: the regular look finds it.
    }
  }
}

export function lostCommand(id: string, why: string): CodedError {
  return new CodedError('workspace.command_lost', `how command ${id} ended is not known: ${why}`, {
    next: 'look at what it did before running it again',
  });
}

function goneWith(job: Job): CodedError {
  return new CodedError('workspace.gone', `attempt ${job.folder.attempt} is over, and what ran in its checkout ended with it`);
}
