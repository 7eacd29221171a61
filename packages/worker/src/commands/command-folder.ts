import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { constants as system } from 'node:os';
import { join } from 'node:path';
import type { CommandRequest, CommandResult } from '@helixcode/protocol/worker/workspace';
import { readIfThere, replaceFile } from '../home/write-file.ts';
import type { JobFolder } from '../jobs/job-folder.ts';
import { readShimExit, readShimStart, type ShimExit, type ShimStart } from '../jobs/shim-files.ts';

/** What was asked for, as it lies on the disk. */
export interface StoredCommand {
  id: string;
  request: CommandRequest;
  /** Where it starts. */
  startFolder: string;
}

/** Somebody decided to end a command. The first decision stands. */
export interface CommandStop {
  kind: 'timed_out' | 'output_limit' | 'asked';
}

/** Ids that are names of files as they are. */
const PLAIN_ID = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;
/** A shell gives the status 128 + number for a command that a signal ended. */
const SIGNALLED_ABOVE = 128;

/** The folder of one command that runs beside the job's own: every lasting fact about it is a file in it. */
export class CommandFolder {
  /** Tells it from the other commands of its job. */
  readonly name: string;
  readonly path: string;

  constructor(job: JobFolder, id: string) {
    this.name = PLAIN_ID.test(id) ? id : `x${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;
    this.path = join(job.commandsFolder, this.name);
  }

  /** @returns of all commands of a job what was asked for */
  static allOf(job: JobFolder): StoredCommand[] {
    try {
      return readdirSync(job.commandsFolder).flatMap((name) => readStored(join(job.commandsFolder, name)) ?? []);
    } catch {
      return []; // It has none.
    }
  }

  /** Takes the request; the command counts as begun from the moment its `request.json` is whole. */
  create(stored: StoredCommand): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
    // Not brought to the disk by force: with the power the job goes too.
    const draft = join(this.path, 'request.tmp');
    writeFileSync(draft, JSON.stringify(stored), { mode: 0o600 });
    renameSync(draft, join(this.path, 'request.json'));
  }

  /** Of a command that could not be started after all. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** @returns `undefined` for a command that never began */
  read(): StoredCommand | undefined {
    return readStored(this.path);
  }

  readStart(): ShimStart | 'unreadable' | undefined {
    return readShimStart(this.path);
  }

  readExit(): ShimExit | undefined {
    return readShimExit(this.path);
  }

  readStop(): CommandStop | undefined {
    const text = readIfThere(join(this.path, 'stop'));
    return text === undefined ? undefined : (JSON.parse(text) as CommandStop);
  }

  writeStop(stop: CommandStop): void {
    if (!this.readStop()) replaceFile(join(this.path, 'stop'), JSON.stringify(stop));
  }

  /** What it wrote to stdout and stderr, in order. */
  get outFile(): string {
    return join(this.path, 'out');
  }

  writtenBytes(): number {
    return statSync(this.outFile, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** @returns how it ended, with the ends of what it wrote */
  result({ exitCode }: ShimExit, { headBytes, tailBytes }: CommandRequest): CommandResult {
    const output = this.#output(headBytes, tailBytes);
    const stop = this.readStop();
    if (stop && stop.kind !== 'asked') return { ending: stop.kind, output };
    const signal = exitCode > SIGNALLED_ABOVE ? signalOf(exitCode - SIGNALLED_ABOVE) : undefined;
    return signal === undefined ? { ending: 'exited', exitCode, output } : { ending: 'signalled', signal, output };
  }

  #output(headBytes: number, tailBytes: number): CommandResult['output'] {
    // A full disk can keep it from being made.
    if (!existsSync(this.outFile)) return { head: '', tail: '', totalBytes: 0, file: this.outFile };
    const fd = openSync(this.outFile, 'r');
    try {
      const totalBytes = fstatSync(fd).size;
      const head = readAt(fd, 0, Math.min(headBytes, totalBytes));
      const tailLength = Math.min(tailBytes, totalBytes - head.length);
      const tail = readAt(fd, totalBytes - tailLength, tailLength);
      return { head: head.toString('base64'), tail: tail.toString('base64'), totalBytes, file: this.outFile };
    } finally {
      closeSync(fd);
    }
  }
}

function readStored(folder: string): StoredCommand | undefined {
  const text = readIfThere(join(folder, 'request.json'));
  return text === undefined ? undefined : (JSON.parse(text) as StoredCommand);
}

function signalOf(number: number): string | undefined {
  return Object.entries(system.signals).find(([, value]) => value === number)?.[0];
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(fd, bytes, 0, length, position));
}
