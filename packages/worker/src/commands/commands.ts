import { existsSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import type { CommandRequest, CommandResult, WorkspaceAnswers } from '@helixcode/protocol/worker/workspace';
import type { Job } from '../jobs/job.ts';
import type { LaunchNews } from '../jobs/launcher.ts';
import { commandMark } from '../jobs/shim.ts';
import { isShimAlive } from '../jobs/shim-files.ts';
import { realPathInside, refuse } from '../workspace-ops/inside-path.ts';
import { type CommandSurroundings, lostCommand, RunningCommand } from './command.ts';
import { CommandFolder, type StoredCommand } from './command-folder.ts';

/** A job's checkout is taken back at the latest after this time, whatever still hangs in it. */
const END_WITHIN_MS = 10_000;

/**
 * Commands that run in the checkouts of jobs, beside the jobs' own. Each has an id, under which it runs once: who asks
 * for it again is told of the one that runs or has run. They survive this daemon as jobs do.
 */
export class Commands {
  readonly #around: CommandSurroundings;
  readonly #running = new Map<string, RunningCommand>();

  /** @param options `wrap`: what is put around each command; absent: nothing */
  constructor(options: Omit<CommandSurroundings, 'wrap'> & Partial<CommandSurroundings>) {
    this.#around = { ...options, wrap: options.wrap ?? ((command) => ({ command })) };
  }

  /** Goes on with what the daemon before this one ran for a job. */
  adopt(job: Job): void {
    if (job.isOver) return;
    for (const stored of CommandFolder.allOf(job.folder)) {
      const folder = new CommandFolder(job.folder, stored.id);
      if (folder.readExit()) continue;
      try {
        this.#take(job, folder, stored).adopt();
      } catch (error) {
        this.#around.log(`command ${stored.id} of job ${job.folder.attempt} could not be taken over: ${String(error)}`);
      }
    }
  }

  /**
   * Runs a command, unless it has been begun before, and waits for its end.
   * @throws CodedError `workspace.path_refused`, `workspace.file_missing`, `workspace.command_lost`, `workspace.gone`
   */
  async run(job: Job, id: string, request: CommandRequest): Promise<CommandResult> {
    const folder = new CommandFolder(job.folder, id);
    const running = this.#running.get(commandMark(job.folder.attempt, folder.name));
    const known = running ? { id, request: running.request } : folder.read();
    if (known) {
      if (!isDeepStrictEqual(known.request, request))
        throw new CodedError('job.spec_differs', `command ${id} was begun already, as another one`, {
          next: 'give the new command a new id',
        });
      if (running) return running.result;
      const exit = folder.readExit();
      if (exit) return folder.result(exit, request);
      throw lostCommand(id, 'its exit status was not recorded');
    }
    const root = job.root;
    const startFolder = realPathInside(root, request.folder);
    if (!statSync(startFolder, { throwIfNoEntry: false })?.isDirectory())
      throw refuse('workspace.file_missing', request.folder, 'is no folder');
    if (request.command.includes('\0')) throw new CodedError('workspace.failed', 'the command holds a zero byte');
    const stored: StoredCommand = { id, request, startFolder };
    folder.create(stored);
    const command = this.#take(job, folder, stored);
    try {
      command.launch();
    } catch (error) {
      // Nothing of it has begun.
      command.close();
      this.#running.delete(commandMark(job.folder.attempt, folder.name));
      folder.remove();
      throw error;
    }
    return command.result;
  }

  /** What became of a command, also of a job that is over. */
  outcome(job: Job, id: string): WorkspaceAnswers['outcome'] {
    const folder = new CommandFolder(job.folder, id);
    const stored = folder.read();
    if (!stored) return { state: 'never_begun' };
    const start = folder.readStart();
    const isAlive = start !== undefined && isShimAlive(start, folder.path);
    const exit = folder.readExit();
    if (exit) return { state: 'finished', result: folder.result(exit, stored.request) };
    if (isAlive || (start === undefined && this.#running.has(commandMark(job.folder.attempt, folder.name)))) return { state: 'running' };
    return { state: 'unknown', reason: 'its supervisor was killed, or the machine was rebooted, before its exit status could be recorded' };
  }

  /** Ends a command and all it started, also what a finished one left; resolves when nothing of it runs. */
  async stop(job: Job, id: string): Promise<void> {
    const folder = new CommandFolder(job.folder, id);
    const stored = folder.read();
    if (!stored) return;
    const mark = commandMark(job.folder.attempt, folder.name);
    await (this.#running.get(mark) ?? this.#take(job, folder, stored)).stop('asked');
  }

  /** Ends whatever runs for a job that is over; resolves when nothing does, or that takes too long. */
  async endAll(job: Job): Promise<void> {
    if (!existsSync(job.folder.commandsFolder)) return;
    const prefix = `${job.folder.attempt}/`;
    const running = [...this.#running].filter(([mark]) => mark.startsWith(prefix));
    if (running.length === 0) return job.killLeftovers();
    const within = new AbortController();
    await Promise.race([
      Promise.all(running.map(([, command]) => command.stop('asked', 0))),
      pause(END_WITHIN_MS, undefined, { signal: within.signal }).catch(() => {}),
    ]);
    within.abort();
  }

  hear({ attempt, commandName = '', what }: LaunchNews): void {
    const command = this.#running.get(commandMark(attempt, commandName));
    if (what === 'failed') command?.failed();
    else command?.look();
  }

  /** Lets go of everything; the commands go on. */
  close(): void {
    for (const command of this.#running.values()) command.close();
  }

  #take(job: Job, folder: CommandFolder, stored: StoredCommand): RunningCommand {
    const mark = commandMark(job.folder.attempt, folder.name);
    const command = new RunningCommand(job, folder, stored, this.#around);
    this.#running.set(mark, command);
    const forget = (): void => void this.#running.delete(mark);
    command.result.then(forget, forget);
    return command;
  }
}
