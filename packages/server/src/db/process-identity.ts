import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * One process of one boot of one machine. A pid alone is not that: it is given again to another process, soon in
 * containers, where the first process of every start has the same small number.
 */
export interface ProcessIdentity {
  pid: number;
  /** When it started, as the system tells it; equal only for the same process. Compared, never read. */
  started: string;
}

/** @returns `undefined` when no process has this pid, or only a zombie that no longer does anything */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  const started = process.platform === 'linux' ? startedOnLinux(pid) : startedByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return processIdentity(identity.pid)?.started === identity.started;
}

let bootId: string | undefined;

function startedOnLinux(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  if (state === 'Z' || state === 'X') return undefined;
  // Field 22 of proc(5), in clock ticks since boot: it repeats after a reboot, hence the boot id before it.
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${bootId}/${fields[19]}`;
}

function startedByPs(pid: number): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const [state = '', ...time] = line.split(/\s+/);
    return line === '' || state.startsWith('Z') ? undefined : time.join(' ');
  } catch {
    return undefined;
  }
}
