import { statfsSync, statSync } from 'node:fs';
import { arch, availableParallelism, hostname, release, totalmem } from 'node:os';
import { type MachineFacts, machineFacts } from '@helixcode/protocol/worker/capabilities';
import { bootId } from '../home/boot-id.ts';
import { userName } from '../home/program-path.ts';
import { readIfThere, replaceFile } from '../home/write-file.ts';
import { findGpus } from './gpus.ts';
import { findLibc } from './libc.ts';
import { findModelServers } from './model-servers.ts';
import { findSandbox } from './sandbox.ts';
import { findTools, toolVersion } from './tools.ts';

/** What was found out within this time is not looked for again when a daemon starts: programs cost seconds to ask. */
const FRESH_MS = 15 * 60_000;
/** How long a first `welcome` may wait for facts. */
const QUICK_MS = 250;

/**
 * What this worker knows of its machine. Everything is found out once per boot and kept on disk; what takes long is
 * never waited for: `onFound` tells of it.
 */
export class FactFinder {
  readonly #file: string;
  readonly #folder: string;
  readonly #path: string;
  readonly #onFound: (facts: MachineFacts) => void;
  #known: MachineFacts | undefined;
  #finding: Promise<MachineFacts> | undefined;
  #libc: Promise<string> | undefined;
  #nodeMajor: Promise<string | undefined> | undefined;

  /**
   * @param file where facts are kept; @param folder whose filesystem jobs use; @param path where programs are looked for
   */
  constructor(file: string, folder: string, path: string, onFound: (facts: MachineFacts) => void) {
    this.#file = file;
    this.#folder = folder;
    this.#path = path;
    this.#onFound = onFound;
    this.#known = this.#readKept();
  }

  /** @returns what is kept of this boot, else what can be found at once */
  async facts(): Promise<MachineFacts> {
    if (this.#known) return this.#known;
    const timeout = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), QUICK_MS).unref());
    const libc = await Promise.race([this.#findLibc(), timeout]);
    return this.#known ?? this.#withoutPrograms(libc ?? 'none');
  }

  /** Looks at everything, unless a daemon of this boot did not long ago. */
  refreshIfOld(): void {
    const ageMs = Date.now() - (statSync(this.#file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (!this.#known || ageMs > FRESH_MS || ageMs < 0) void this.refresh();
  }

  /** Looks at everything anew; a look that is under way serves all who ask. */
  refresh(): Promise<MachineFacts> {
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  /** What files made for this machine depend on: `linux-x64-glibc-node24`, the last part only where there is node. */
  async platform(): Promise<string> {
    this.#nodeMajor ??= toolVersion('node', this.#path).then((version) => version?.split('.')[0]);
    const libc = (await this.#findLibc()).split('-')[0];
    const node = await this.#nodeMajor;
    return [process.platform, arch(), libc, ...(node ? [`node${node}`] : [])].join('-');
  }

  async #find(): Promise<MachineFacts> {
    const [libc, tools, gpus, modelServers, sandbox] = await Promise.all([
      this.#findLibc(),
      findTools(this.#path),
      findGpus(this.#path),
      findModelServers(),
      findSandbox(this.#path),
    ]);
    this.#known = { ...this.#withoutPrograms(libc), tools, gpus, modelServers, sandbox };
    try {
      replaceFile(this.#file, JSON.stringify(this.#known));
    } catch {
      // Full disk: the next daemon looks again.
    }
    this.#onFound(this.#known);
    return this.#known;
  }

  #findLibc(): Promise<string> {
    this.#libc ??= findLibc(this.#path);
    return this.#libc;
  }

  #withoutPrograms(libc: string): MachineFacts {
    const disk = statfsSync(this.#folder);
    return {
      os: process.platform === 'darwin' ? 'darwin' : 'linux',
      arch: arch(),
      libc,
      kernel: release(),
      hostname: hostname(),
      cores: availableParallelism(),
      memoryBytes: memoryBytes(),
      diskBytes: disk.blocks * disk.bsize,
      gpus: [],
      tools: {},
      modelServers: {},
      sandbox: 'none',
      bootId: bootId(),
      user: userName(),
    };
  }

  #readKept(): MachineFacts | undefined {
    const text = readIfThere(this.#file);
    if (text === undefined) return undefined;
    try {
      const written = JSON.parse(text) as Record<string, unknown>;
      const kept = machineFacts.parse(written);
      // Facts of a program that did not ask for a sandbox are not all there is to know.
      return kept.bootId === bootId() && 'sandbox' in written ? kept : undefined;
    } catch {
      return undefined; // Of another version of this program.
    }
  }
}

/** The machine's memory, or what the daemon's group may use of it; no limit is reported as an absurd number. */
function memoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
