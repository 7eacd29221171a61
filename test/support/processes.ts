import { readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';

/** `kill -9`. Nobody to kill is a mistake of the test, and number 0 would be the test itself. */
export function killNow(...pids: (number | undefined)[]): void {
  for (const pid of pids) {
    if (pid === undefined || pid < 2) throw new Error(`there is no process to kill among ${JSON.stringify(pids)}`);
    process.kill(pid, 'SIGKILL');
  }
}

/** The daemon that serves a worker whose things lie in `folder`, by its lock; `undefined` while there is none. */
export function daemonOf(folder: string, workerId: string): number | undefined {
  try {
    const pid = Number(readFileSync(path.join(folder, 'run', hostname(), workerId, 'lock'), 'utf8').split(' ')[0]);
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Processes whose command line `isMeant`. */
export function processesWith(isMeant: (words: string[]) => boolean): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return isMeant(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** The ssh clients that hold the link of a worker of the server with this data folder. */
export function sshClientsOf(home: string, workerId: string): number[] {
  const folder = path.join(home, 'ssh', workerId);
  return processesWith((words) => words[0] === 'ssh' && words.some((word) => word.startsWith(folder)));
}

/** The PostgreSQL of a data folder; `undefined` when none runs. */
export function postgresOf(home: string): number | undefined {
  return processesWith(
    (words) => path.basename(words[0] ?? '') === 'postgres' && words.some((word) => word.startsWith(path.join(home, 'postgres'))),
  )[0];
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

/** Memory of a process in bytes, of what it shares with others its part; 0 where it has ended. */
export function proportionalBytes(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
