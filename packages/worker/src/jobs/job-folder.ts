import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { makePrivateFolder, sharedTmpFolder } from '../home/worker-home.ts';
import { isErrno, readIfThere, replaceFile } from '../home/write-file.ts';
import { readShimExit, readShimStart, type ShimExit, type ShimStart } from './shim-files.ts';

/** What was asked for, as it lies on the disk: of the secrets only the names. */
export interface JobRequest {
  spec: JobSpec;
  secretNames: string[];
}

/** Somebody decided to end the job: `cancel`, a limit of its spec, or the server was away too long. The first decision stands. */
export interface StopOrder {
  kind: 'cancel' | 'limit' | 'orphaned';
  reason: ErrorFact;
  graceMs: number;
  /** Milliseconds since the epoch. */
  at: number;
}

/** How a job ended whose command never began. */
export interface JobEnd {
  state: 'refused' | 'cancelled';
  reason: ErrorFact;
}

/** What became of the declared outputs. */
export interface JobOutputs {
  blob?: string;
  reason?: ErrorFact;
}

/** The most files that may be left in `$HELIX_OUTPUT_DIR`. */
export const LEFT_FILES_LIMIT = 5_000;

const SMALL_BYTES = 16 * 1024;

/** One attempt's folder: every lasting fact about a job is a file in it. */
export class JobFolder {
  readonly attempt: string;
  readonly path: string;

  constructor(jobsFolder: string, attempt: string) {
    this.attempt = attempt;
    this.path = join(jobsFolder, attempt);
  }

  /** Where the command may leave files for the server: `$HELIX_OUTPUT_DIR`. */
  get leftFolder(): string {
    return join(this.path, 'files');
  }

  /**
   * `$TMPDIR`: where programs of this machine look for it anyway, and short, since they make sockets in it and a socket's
   * path may not be longer than some 100 bytes.
   */
  get tmpFolder(): string {
    const digest = createHash('sha256').update(this.path).digest('hex').slice(0, 12);
    return join(sharedTmpFolder(), digest);
  }

  /** Holds a folder for each command that was run beside the job's own. */
  get commandsFolder(): string {
    return join(this.path, 'commands');
  }

  /** What commands in a sandbox have for themselves: a home, git data. Made with the first of them. */
  get sandboxFolder(): string {
    return join(this.path, 'sandbox');
  }

  /** The empty folder in which a job without a checkout starts. */
  get workFolder(): string {
    return join(this.path, 'work');
  }

  /** Takes the request; the job exists from the moment its `spec.json` is whole. */
  create(request: JobRequest): void {
    for (const folder of [this.path, this.leftFolder, this.workFolder]) mkdirSync(folder, 0o700);
    makeFolder(this.tmpFolder);
    writeFileSync(join(this.path, 'spec.json'), JSON.stringify(request), { mode: 0o600 });
  }

  /** Takes away what makes it a job: a folder that is deleted later, or halfway, must not look like one that has not begun. */
  disown(): void {
    rmSync(join(this.path, 'spec.json'), { force: true });
  }

  /** Whether it holds little: short output, and nothing in the folders where the command may leave files. */
  isSmall(): boolean {
    try {
      return (
        !existsSync(this.commandsFolder) &&
        [this.leftFolder, this.workFolder, this.tmpFolder].every((folder) => readdirSync(folder).length === 0) &&
        this.writtenBytes('out') + this.writtenBytes('err') <= SMALL_BYTES
      );
    } catch {
      return false;
    }
  }

  /**
   * Deletes all of it. The few files that every job has go one by one, at a tenth of the cost of looking for them. Its own
   * folder goes last: where this is cut off, the next daemon finds it, and by it the temporary one.
   */
  async remove(): Promise<void> {
    this.disown();
    try {
      for (const name of ['out', 'err', 'start', 'rc']) rmIfThere(join(this.path, name));
      for (const folder of [this.leftFolder, this.workFolder, this.tmpFolder, this.path]) rmdirSync(folder);
    } catch {
      for (const folder of [this.tmpFolder, this.path]) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  /** @returns `undefined` for a folder whose making was cut off */
  readRequest(): JobRequest | undefined {
    return this.#readJson<JobRequest>('spec.json');
  }

  /** @returns `undefined` until the command began; `unreadable` where the line is not written yet, or was cut off by a crash */
  readStart(): ShimStart | 'unreadable' | undefined {
    return readShimStart(this.path);
  }

  readExit(): ShimExit | undefined {
    return readShimExit(this.path);
  }

  readStop(): StopOrder | undefined {
    return this.#readJson<StopOrder>('stop');
  }

  /** @returns the order that stands: this one, or one given before */
  writeStop(order: StopOrder): StopOrder {
    const standing = this.readStop();
    if (standing) return standing;
    replaceFile(join(this.path, 'stop'), JSON.stringify(order));
    return order;
  }

  readEnd(): JobEnd | undefined {
    return this.#readJson<JobEnd>('end');
  }

  writeEnd(end: JobEnd): void {
    replaceFile(join(this.path, 'end'), JSON.stringify(end));
  }

  readOutputs(): JobOutputs | undefined {
    return this.#readJson<JobOutputs>('outputs');
  }

  writeOutputs(outputs: JobOutputs): void {
    replaceFile(join(this.path, 'outputs'), JSON.stringify(outputs));
  }

  /** Whether the snapshot that a bad end asks for was taken, or could not be. */
  hasLastCheckpoint(): boolean {
    return existsSync(join(this.path, 'checkpointed'));
  }

  writeLastCheckpoint(): void {
    replaceFile(join(this.path, 'checkpointed'), '');
  }

  /** The working tree this job holds, so that the next daemon knows that it is in use. */
  readLease(): string | undefined {
    return readIfThere(join(this.path, 'tree'))?.trim() || undefined;
  }

  writeLease(tree: string): void {
    replaceFile(join(this.path, 'tree'), `${tree}\n`);
  }

  removeLease(): void {
    rmSync(join(this.path, 'tree'), { force: true });
  }

  readPrepareMs(): number | undefined {
    const text = readIfThere(join(this.path, 'prepared'));
    return text === undefined ? undefined : Number(text);
  }

  writePrepareMs(ms: number): void {
    writeFileSync(join(this.path, 'prepared'), `${Math.round(ms)}`, { mode: 0o600 });
  }

  /** How many bytes from the beginning of `out` or `err` have been given back to the disk. */
  readDroppedBytes(stream: string): number {
    return Number(readIfThere(join(this.path, `${stream}.dropped`)) ?? 0);
  }

  writeDroppedBytes(stream: string, bytes: number): void {
    replaceFile(join(this.path, `${stream}.dropped`), `${bytes}`);
  }

  /** Length of `out` or `err` on the disk, 0 before it begins. */
  writtenBytes(stream: 'out' | 'err'): number {
    return statSync(join(this.path, stream), { throwIfNoEntry: false })?.size ?? 0;
  }

  /** @returns path below `$HELIX_OUTPUT_DIR` → size, of regular files only; at most one more than the limit */
  leftFiles(): Map<string, number> {
    const found = new Map<string, number>();
    const visit = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (found.size > LEFT_FILES_LIMIT) return;
        const path = join(folder, entry.name);
        try {
          if (entry.isDirectory()) visit(path);
          else if (entry.isFile()) found.set(relative(this.leftFolder, path), lstatSync(path).size);
        } catch (error) {
          // A name that is not UTF-8 cannot be asked for; a file may vanish while we look.
          if (!isErrno(error, 'ENOENT', 'EACCES')) throw error;
        }
      }
    };
    try {
      visit(this.leftFolder);
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) throw error;
    }
    return found;
  }

  /**
   * @param stream `out`, `err`, or `file:<path>`
   * @returns the file to read, or `undefined` where the name leads outside of what the job may hand out
   */
  streamFile(stream: string): string | undefined {
    if (stream === 'out' || stream === 'err') return join(this.path, stream);
    if (!stream.startsWith('file:')) return undefined;
    try {
      const root = realpathSync(this.leftFolder);
      const path = join(root, stream.slice('file:'.length));
      const isInside = path.startsWith(root + sep) && realpathSync(path) === path;
      return isInside && lstatSync(path).isFile() ? path : undefined;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG')) return undefined;
      throw error;
    }
  }

  #readJson<T>(name: string): T | undefined {
    const text = readIfThere(join(this.path, name));
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as T;
    } catch {
      return undefined; // Cut off by a crash before it counted.
    }
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return;
    if (!isErrno(error, 'ENOENT')) throw error;
    makePrivateFolder(dirname(path));
    mkdirSync(path, 0o700);
  }
}

function rmIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
