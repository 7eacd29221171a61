import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessRow {
  pid: number;
  parent: number;
  session: number;
  hasCookie: boolean;
}

/**
 * @returns when a living process began, in the machine's own words (they are only compared), so that a number given out
 *   twice is not taken for the same process; `undefined` when there is none, or only its remains
 */
export function startTimeOf(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  if (process.platform !== 'linux') return startTimeByPs(pid);
  const fields = statFields(pid);
  return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/**
 * The processes of a job, each before those it started: all that carry its cookie in their environment (also those that
 * left its session), all below its supervisor, and all in a session that one of these leads. The supervisor itself is
 * never among them.
 *
 * @param supervisor pid of the shim, when it is known to be alive
 */
export function processesOf(attempt: string, supervisor: number | undefined): number[] {
  return processesWith(jobCookie(attempt), supervisor);
}

/** What every process of a job has in its environment. */
export function jobCookie(attempt: string): string {
  return `HELIX_JOB=${attempt}`;
}

/** The same of whatever is marked by this cookie. */
export function processesWith(cookie: string, supervisor: number | undefined): number[] {
  const rows = processRows(cookie);
  const members = new Set(rows.filter((row) => row.hasCookie).map((row) => row.pid));
  for (let grew = true; grew; ) {
    grew = false;
    for (const row of rows) {
      const belongs = row.parent === supervisor || members.has(row.parent) || members.has(row.session);
      if (!belongs || members.has(row.pid)) continue;
      members.add(row.pid);
      grew = true;
    }
  }
  if (supervisor !== undefined) members.delete(supervisor);
  members.delete(process.pid);
  return parentsFirst(rows, members);
}

/**
 * A shell whose command is ended before itself goes on with the next one: what starts others is to be signalled before
 * them. Numbers do not say which that is, for they begin anew after the largest.
 */
export function parentsFirst(rows: readonly ProcessRow[], members: ReadonlySet<number>): number[] {
  const parentOf = new Map(rows.map(({ pid, parent }) => [pid, parent]));
  const depthOf = (pid: number): number => {
    let depth = 0;
    for (let above = parentOf.get(pid); above !== undefined && members.has(above) && depth < rows.length; above = parentOf.get(above))
      depth++;
    return depth;
  };
  return [...members]
    .map((pid) => ({ pid, depth: depthOf(pid) }))
    .sort((a, b) => a.depth - b.depth)
    .map(({ pid }) => pid);
}

/** @returns how many processes of the job there were */
export function signalJob(attempt: string, supervisor: number | undefined, signal: NodeJS.Signals): number {
  return signalAll(jobCookie(attempt), supervisor, signal);
}

/** @returns how many processes with the cookie there were */
export function signalAll(cookie: string, supervisor: number | undefined, signal: NodeJS.Signals): number {
  const pids = processesWith(cookie, supervisor);
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended in between, or it belongs to another user now: neither is ours to end.
    }
  }
  return pids.length;
}

/** Ends every process that carries the cookie of one of these jobs, in one look at the machine. */
export function killLeftovers(attempts: ReadonlySet<string>): void {
  if (process.platform !== 'linux') {
    for (const attempt of attempts) signalJob(attempt, undefined, 'SIGKILL');
    return;
  }
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const attempt = /(?:^|\0)HELIX_JOB=([^\0]*)\0/.exec(readFileSync(`/proc/${name}/environ`, 'latin1'))?.[1];
      if (attempt !== undefined && attempts.has(attempt) && Number(name) !== process.pid) process.kill(Number(name), 'SIGKILL');
    } catch {
      // Another user's, or gone.
    }
  }
}

function processRows(cookie: string): ProcessRow[] {
  if (process.platform !== 'linux') return processRowsByPs(cookie);
  const rows: ProcessRow[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const fields = statFields(pid);
    if (!fields || fields[0] === 'Z') continue;
    rows.push({ pid, parent: Number(fields[1]), session: Number(fields[3]), hasCookie: environHas(pid, cookie) });
  }
  return rows;
}

/** The fields of `/proc/<pid>/stat` from the state on: the name before them may hold blanks and brackets. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function environHas(pid: number, cookie: string): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`, 'latin1');
    return environ.startsWith(`${cookie}\0`) || environ.includes(`\0${cookie}\0`);
  } catch {
    return false;
  }
}

function startTimeByPs(pid: number): string | undefined {
  try {
    return (
      execFileSync('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
        .trim()
        .replaceAll(/\s+/g, '_') || undefined
    );
  } catch {
    return undefined;
  }
}

function processRowsByPs(cookie: string): ProcessRow[] {
  const table = execFileSync('/bin/ps', ['-axEwwo', 'pid=,ppid=,sess=,command='], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return table.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line);
    if (!match) return [];
    return { pid: Number(match[1]), parent: Number(match[2]), session: 0, hasCookie: ` ${match[4]} `.includes(` ${cookie} `) };
  });
}
