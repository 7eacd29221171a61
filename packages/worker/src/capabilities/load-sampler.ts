import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import type { WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import { freeDiskBytes } from '../home/disk-space.ts';

/** Measures how busy the machine is; a sample costs some tenths of a millisecond. */
export class LoadSampler {
  readonly #folder: string;
  #before = cpuTimes();
  #cpuPercent = 0;
  #sampledAtMs = performance.now();

  /** @param folder whose filesystem jobs use */
  constructor(folder: string) {
    this.#folder = folder;
  }

  sample(runningJobs: number): WorkerLoad {
    this.#sampleCpu();
    return {
      cpuPercent: this.#cpuPercent,
      cpuPressure: pressureOf('cpu'),
      memoryPressure: pressureOf('memory'),
      ioPressure: pressureOf('io'),
      memoryFreeBytes: process.availableMemory(),
      diskFreeBytes: freeDiskBytes(this.#folder),
      load1: loadavg()[0] ?? 0,
      runningJobs,
    };
  }

  /** Shares over less than a tenth of a second say nothing: then the one before stands. */
  #sampleCpu(): void {
    if (performance.now() - this.#sampledAtMs < 100) return;
    const now = cpuTimes();
    const total = now.total - this.#before.total;
    if (total > 0) this.#cpuPercent = Math.round((1000 * (total - (now.idle - this.#before.idle))) / total) / 10;
    this.#before = now;
    this.#sampledAtMs = performance.now();
  }
}

function cpuTimes(): { idle: number; total: number } {
  let idle = 0;
  let total = 0;
  if (process.platform === 'linux') {
    const fields = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]?.split(/\s+/).slice(1, 9).map(Number) ?? [];
    for (const ticks of fields) total += ticks;
    // Idle and waiting for a disk.
    idle = (fields[3] ?? 0) + (fields[4] ?? 0);
    return { idle, total };
  }
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { idle, total };
}

/** @returns 0 where the kernel does not measure it */
function pressureOf(resource: 'cpu' | 'memory' | 'io'): number {
  try {
    return Number(/avg10=([\d.]+)/.exec(readFileSync(`/proc/pressure/${resource}`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
