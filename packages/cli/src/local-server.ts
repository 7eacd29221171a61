import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { configFolder, defaultDataFolder } from '@helixcode/protocol/config/config-folders';
import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from './helix-context.ts';

/** The data folder of this machine's server: `--home`, `HELIX_HOME`, what the user's `helix.json` says, or the usual one. */
export function dataFolderOf({ flags, env, cwd, place }: Pick<HelixContext, 'flags' | 'env' | 'cwd' | 'place'>): string {
  const named = flags.home || env.HELIX_HOME;
  if (named) return path.resolve(cwd, named);
  const folder = configFolder(place);
  const configured = (readJson(path.join(folder, 'helix.json')) as { global?: { dataFolder?: unknown } } | undefined)?.global?.dataFolder;
  return typeof configured === 'string' ? path.resolve(folder, configured) : defaultDataFolder(place);
}

/** The process that holds a data folder, as it wrote itself down. */
export interface ServerProcess {
  pid: number;
  what: string;
  since: string;
}

/** @returns `undefined` when no living server holds the folder */
export function findServerProcess(dataFolder: string): ServerProcess | undefined {
  const lock = path.join(dataFolder, 'server.lock');
  let names: string[];
  try {
    names = readdirSync(lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const newest = Math.max(0, ...names.map(Number).filter(Number.isInteger));
  const holder = readJson(path.join(lock, String(newest))) as { pid: number; started: string; what: string; since: string } | undefined;
  return holder && startOf(holder.pid) === holder.started ? holder : undefined;
}

/** Where the running server of that folder answers, as it wrote it down when it began to listen. */
export function readServerUrl(dataFolder: string): string | undefined {
  const url = (readJson(path.join(dataFolder, 'server.json')) as { url?: unknown } | undefined)?.url;
  return typeof url === 'string' ? url : undefined;
}

/** @returns `undefined` where there is no token; one that may not be read is an error that says so */
export function readOwnerToken(dataFolder: string): string | undefined {
  const file = path.join(dataFolder, 'owner-token');
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new CodedError('auth.token_missing', `the owner's token ${file} belongs to another user`, {
      next: 'HELIX_TOKEN=… helix status',
      cause,
    });
  }
}

/**
 * When the process with that pid started, in the words of the server's lock: it tells the server from a later process that
 * was given the same pid.
 */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux') {
      const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
      const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
        encoding: 'utf8',
        env,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const [state = 'Z', ...time] = line.trim().split(/\s+/);
      return state.startsWith('Z') ? undefined : time.join(' ');
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** @returns `undefined` where there is no file, or one that is just being written */
function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof SyntaxError || code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
