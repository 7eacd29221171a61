import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/** Clock ticks of `/proc/<pid>/stat` are hundredths of a second on every Linux. */
const MS_PER_TICK = 10;

/** Processor time that a process has used so far, in milliseconds. */
export function cpuMs(pid: number): number {
  // The name of the program may hold spaces; what follows its closing bracket does not.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** The share of one processor that each of some processes uses from now on, in percent. */
export function watchCpu(pids: readonly number[]): () => number {
  const startMs = performance.now();
  const before = new Map(pids.map((pid) => [pid, cpuMsIfThere(pid)]));
  return () => {
    const used = pids.reduce((sum, pid) => sum + Math.max(0, cpuMsIfThere(pid) - (before.get(pid) ?? 0)), 0);
    return (used / (performance.now() - startMs)) * 100;
  };
}

/** The same; 0 once it has ended. */
export function cpuMsIfThere(pid: number): number {
  try {
    return cpuMs(pid);
  } catch {
    return 0;
  }
}

/** All processes of the PostgreSQL of a data folder: each connection has its own, and all work in its folder. */
export function postgresProcesses(home: string): number[] {
  const folder = path.join(home, 'postgres');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
      } catch {
        return false;
      }
    })
    .map(Number);
}
