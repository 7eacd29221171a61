import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface FoundProcess {
  pid: number;
  parent: number;
  session: number;
  /** Its command line. */
  words: string;
  /** The job it belongs to. */
  job: string | undefined;
}

/** Processes that name `folder` in their command line or environment, or work in it; never this one. */
export function processesIn(folder: string): FoundProcess[] {
  return allProcesses(folder).filter((process) => process.isMeant);
}

/** The same with all below them and in their sessions: everything that lives by what is in `folder`. */
export function processesAround(folder: string): FoundProcess[] {
  const all = allProcesses(folder);
  const found = new Set(all.filter((process) => process.isMeant).map(({ pid }) => pid));
  for (let grew = true; grew; ) {
    grew = false;
    for (const { pid, parent, session } of all) {
      if (found.has(pid) || !(found.has(parent) || found.has(session))) continue;
      found.add(pid);
      grew = true;
    }
  }
  return all.filter(({ pid }) => found.has(pid));
}

export function isAlive(pid: number): boolean {
  const state = statFields(pid)?.[0];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Sends a signal to those that still live. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      if (pid > 1) process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function allProcesses(folder: string): (FoundProcess & { isMeant: boolean })[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    const fields = statFields(pid);
    if (!fields || fields[0] === 'Z' || fields[0] === 'X') return [];
    const words = read(`/proc/${pid}/cmdline`);
    const environment = read(`/proc/${pid}/environ`);
    const isMeant = [words, environment, linkOf(`/proc/${pid}/cwd`)].some((text) => text.includes(folder));
    const job = /(?:^|\0)HELIX_JOB=([^\0]*)\0/.exec(environment)?.[1];
    return [{ pid, parent: Number(fields[1]), session: Number(fields[3]), words: words.replaceAll('\0', ' ').trim(), job, isMeant }];
  });
}

/** The fields of `/proc/<pid>/stat` from the state on: the name before them may hold blanks and brackets. */
function statFields(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat === '' ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
