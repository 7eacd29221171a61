import { execFileSync } from 'node:child_process';
import { chownSync, readFileSync, readlinkSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What PostgreSQL writes about itself into its data folder while it runs. */
export interface PostmasterPid {
  pid: number;
  port: number;
  status: 'starting' | 'stopping' | 'ready' | 'standby' | 'unknown';
}

/** @returns `undefined` when the cluster was stopped cleanly, never started, or is only writing its first lines */
export function readPostmasterPid(dataFolder: string): PostmasterPid | undefined {
  const lines = readLines(fileIn(dataFolder));
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid === 0) return undefined;
  const status = (lines[7] ?? '').trim();
  return {
    // Negative for a single-user backend, which is no server but holds the folder all the same.
    pid: Math.abs(pid),
    port: Number(lines[3] ?? 0),
    status: status === 'starting' || status === 'stopping' || status === 'ready' || status === 'standby' ? status : 'unknown',
  };
}

/** Whether `pid` is, now, the PostgreSQL that runs on this folder: after a reboot or in a container it may be anybody. */
export function isPostmasterOf(dataFolder: string, pid: number): boolean {
  if (process.platform !== 'linux') return commandByPs(pid).includes(dataFolder);
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    if (path.basename(program) !== 'postgres') return false;
    return args.includes(dataFolder) || workingFolderOf(pid) === dataFolder;
  } catch {
    return false;
  }
}

export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * Makes a `postmaster.pid` whose number now belongs to somebody else's process acceptable to PostgreSQL, which otherwise
 * refuses to start for as long as that process lives.
 *
 * Only the number is replaced, by one that no process can have. The rest stays, above all the key of the shared memory:
 * by it PostgreSQL still finds backends that outlived a killed postmaster and waits for them. Removing the file would
 * take that guard away, and two sets of processes writing one folder destroy it.
 */
export function disownPostmasterPid(dataFolder: string): void {
  const file = fileIn(dataFolder);
  const [, ...rest] = readFileSync(file, 'utf8').split('\n');
  const written = `${file}.disowned`;
  writeFileSync(written, [String(pidOfNobody), ...rest].join('\n'), { mode: 0o600 });
  // As root we write for the account PostgreSQL runs as.
  const { uid, gid } = statSync(file);
  chownSync(written, uid, gid);
  renameSync(written, file);
}

/** Above the largest pid of any supported system (Linux 2^22, macOS 99,999), yet a valid `pid_t`. */
const pidOfNobody = 2_147_483_647;

/** The port given on the command line of the last start, kept by PostgreSQL across stops and crashes. */
export function lastPort(dataFolder: string): number | undefined {
  const options = readLines(path.join(dataFolder, 'postmaster.opts')).join(' ');
  const port = /"-p" "(\d+)"/.exec(options)?.[1];
  return port === undefined ? undefined : Number(port);
}

function fileIn(dataFolder: string): string {
  return path.join(dataFolder, 'postmaster.pid');
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** PostgreSQL works inside its data folder, so this also finds it when the folder was moved under it. */
function workingFolderOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

function commandByPs(pid: number): string {
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return '';
  }
}
