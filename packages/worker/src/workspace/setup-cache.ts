import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { packArchive, unpackArchive } from './archive.ts';
import type { Blobs } from './blobs.ts';
import type { Git } from './git.ts';
import { msSinceUse, noteUse, type Removed } from './last-use.ts';
import { runProgram } from './run-program.ts';
import type { WorktreePool } from './worktree-pool.ts';

type SetupSpec = NonNullable<NonNullable<JobSpec['workspace']>['setup']>;

/** What a set-up needs to know of the job that asks for it. */
export interface SetupRequest {
  tree: string;
  commit: string;
  setup: SetupSpec;
  /** The command's environment. */
  environment: Record<string, string>;
  signal: AbortSignal;
}

/**
 * What set-up commands make (installed dependencies and the like), made once for each key and platform and then copied.
 * The copy is an archive: unpacking it takes less than half the time of copying the files, and it is what travels.
 */
export class SetupCache {
  readonly #folder: string;
  readonly #git: Git;
  readonly #blobs: Blobs;
  readonly #pool: WorktreePool;
  readonly #platform: () => Promise<string>;
  readonly #log: (line: string) => void;
  /** Keys being fetched or produced; resolves to whether the archive is here then. */
  readonly #underWay = new Map<string, Promise<void>>();

  /** @param platform what outputs depend on besides the key, e.g. `linux-x64-glibc-node24` */
  constructor(folder: string, git: Git, blobs: Blobs, pool: WorktreePool, platform: () => Promise<string>, log: (line: string) => void) {
    this.#folder = folder;
    this.#git = git;
    this.#blobs = blobs;
    this.#pool = pool;
    this.#platform = platform;
    this.#log = log;
  }

  /** @returns what names the outputs of this set-up on this machine */
  async keyOf(setup: SetupSpec): Promise<string> {
    return `${setup.key}-${await this.#platform()}`;
  }

  /**
   * Puts the outputs of the set-up into a tree that holds its commit, unless they are there.
   * @throws CodedError `workspace.setup_failed`, `workspace.failed`; the abort's reason
   */
  async materialise(request: SetupRequest): Promise<void> {
    const key = await this.keyOf(request.setup);
    if (this.#pool.readRecord(request.tree).setup?.key === key) return;
    const archive = join(this.#folder, key, 'outputs.tar.zst');
    for (;;) {
      request.signal.throwIfAborted();
      if (existsSync(archive)) {
        await this.#unpack(key, archive, request);
        return;
      }
      const others = this.#underWay.get(key);
      if (!others) break;
      // The outcome is shared: a command that fails for one fails for all who wait. Only a cancelled one is taken over.
      await untilAborted(others, request.signal).catch((error) => {
        if (error instanceof CodedError) throw error;
        request.signal.throwIfAborted();
      });
    }
    const work = this.#fetchOrProduce(key, archive, request);
    this.#underWay.set(key, work);
    try {
      await work;
    } finally {
      this.#underWay.delete(key);
    }
    if (this.#pool.readRecord(request.tree).setup?.key !== key) await this.#unpack(key, archive, request);
  }

  /**
   * Removes archives that were not unpacked for so long, and the longest unused while all together are larger than
   * `maxBytes`, except those used within `atLeastMs`.
   *
   * @param dryRun only finds them
   */
  async tidy(limits: { unusedMs: number; maxBytes: number; atLeastMs: number }, dryRun: boolean): Promise<Removed[]> {
    const archives = (existsSync(this.#folder) ? readdirSync(this.#folder) : []).flatMap((key) => {
      const archive = join(this.#folder, key, 'outputs.tar.zst');
      const stat = statSync(archive, { throwIfNoEntry: false });
      return stat ? [{ key, bytes: stat.size, unusedMs: msSinceUse(archive) ?? 0 }] : [];
    });
    let bytes = archives.reduce((sum, one) => sum + one.bytes, 0);
    const removed: Removed[] = [];
    for (const { key, ...one } of archives.sort((a, b) => b.unusedMs - a.unusedMs)) {
      if (one.unusedMs < limits.atLeastMs || this.#underWay.has(key)) continue;
      if (one.unusedMs < limits.unusedMs && bytes <= limits.maxBytes) continue;
      if (!dryRun) rmSync(join(this.#folder, key), { recursive: true, force: true });
      bytes -= one.bytes;
      removed.push(one);
    }
    return removed;
  }

  async #fetchOrProduce(key: string, archive: string, request: SetupRequest): Promise<void> {
    mkdirSync(join(this.#folder, key), { recursive: true, mode: 0o700 });
    const blob = `setup-${key}`;
    if (await this.#blobs.get(blob, archive, request.signal)) return;
    try {
      await this.#produce(key, archive, request);
    } catch (error) {
      this.#blobs.giveUp(blob, String(error)).catch((cause) => this.#log(`set-up ${key} could not be given up: ${String(cause)}`));
      throw error;
    }
    // Nobody here waits for the server to have it.
    this.#blobs.put(blob, archive).catch((error) => this.#log(`set-up ${key} could not be shared: ${String(error)}`));
  }

  async #produce(key: string, archive: string, request: SetupRequest): Promise<void> {
    const { tree, setup, environment, signal } = request;
    const result = await runProgram('/bin/sh', ['-c', setup.command], { cwd: tree, env: environment, signal, timeoutMs: setup.timeoutMs });
    if (result.exitCode !== 0) {
      const end = result.isTimedOut ? `ran longer than ${setup.timeoutMs} ms` : `ended with status ${result.exitCode}`;
      const lastWords = result.tail.trimEnd().split('\n').at(-1);
      throw new CodedError('workspace.setup_failed', `the set-up command \`${setup.command}\` ${end}${lastWords ? `: ${lastWords}` : ''}`, {
        details: { exitCode: result.exitCode, output: result.tail },
      });
    }
    const { stdout } = await this.#git.run(['ls-files', '-z', '--others', '--directory'], { cwd: tree, signal });
    const outputs = stdout
      .toString('utf8')
      .split('\0')
      .filter((path) => path !== '')
      .map((path) => path.replace(/\/$/, ''));
    await packArchive(tree, outputs, archive, { env: environment, signal });
    // What the command did to files of the commit is undone: trees that only unpack do not have it either.
    await this.#git.run(['checkout', '--quiet', '--detach', '--force', request.commit], { cwd: tree, signal });
    this.#pool.writeRecord(tree, { commit: request.commit, setup: { key, outputs } });
  }

  async #unpack(key: string, archive: string, { tree, commit, environment, signal }: SetupRequest): Promise<void> {
    noteUse(archive);
    try {
      await unpackArchive(archive, tree, { env: environment, signal });
    } catch (error) {
      signal.throwIfAborted();
      rmSync(archive, { force: true }); // Damaged, it would fail for every job to come.
      throw error;
    }
    const { stdout } = await this.#git.run(['ls-files', '-z', '--others', '--directory'], { cwd: tree, signal });
    const outputs = stdout
      .toString('utf8')
      .split('\0')
      .filter((path) => path !== '')
      .map((path) => path.replace(/\/$/, ''));
    this.#pool.writeRecord(tree, { commit, setup: { key, outputs } });
  }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
