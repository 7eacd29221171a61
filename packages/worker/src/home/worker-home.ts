import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { userName } from './program-path.ts';

/** A socket address holds 108 bytes on Linux and 104 on macOS, with the closing zero. */
const SOCKET_PATH_LIMIT_BYTES = 100;

/** Where the daemon of one home, host and namespace keeps its things. */
export interface WorkerHome {
  root: string;
  /** The worker's id on its server: one daemon for each. */
  namespace: string;
  /** `run/<hostname>/<namespace>`: a home shared between hosts (NFS) has one folder for each of them. */
  runFolder: string;
  jobsFolder: string;
  logFile: string;
  epochFile: string;
  lockFile: string;
  factsFile: string;
  /** Bare git repositories, `<project>.git`. */
  reposFolder: string;
  /** Working trees, `<project>/<n>`. */
  treesFolder: string;
  /** Archives of what set-up commands made. */
  setupsFolder: string;
  gitConfigFile: string;
}

/**
 * @param namespace the `--ns` argument
 * @param environment `HELIX_WORKER_HOME` names the home; without it, it is `~/.helix-worker`
 */
export function workerHome(namespace: string, environment: NodeJS.ProcessEnv = process.env): WorkerHome {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(namespace)) throw new Error(`--ns ${namespace} is not a worker id`);
  const root = resolve(environment['HELIX_WORKER_HOME'] || join(homedir(), '.helix-worker'));
  const runFolder = join(root, 'run', hostname().replaceAll(/[^A-Za-z0-9.-]/g, '_') || 'localhost', namespace);
  return {
    root,
    namespace,
    runFolder,
    jobsFolder: join(runFolder, 'jobs'),
    logFile: join(runFolder, 'daemon.log'),
    epochFile: join(runFolder, 'epoch'),
    lockFile: join(runFolder, 'lock'),
    factsFile: join(runFolder, 'facts.json'),
    reposFolder: join(runFolder, 'repos'),
    treesFolder: join(runFolder, 'trees'),
    setupsFolder: join(runFolder, 'setup'),
    gitConfigFile: join(runFolder, 'gitconfig'),
  };
}

/**
 * The places where the daemon's socket may be, in the order in which they are tried: `<run folder>/w.sock`, or, where
 * that path is too long or its filesystem knows no sockets, `/tmp/helix-<uid>/<first 16 hex digits of the sha256 of the
 * run folder's path>.sock`.
 */
export function socketPaths(home: WorkerHome): string[] {
  const digest = createHash('sha256').update(home.runFolder).digest('hex').slice(0, 16);
  const beside = join(home.runFolder, 'w.sock');
  const fallback = join(sharedTmpFolder(), `${digest}.sock`);
  return Buffer.byteLength(beside) <= SOCKET_PATH_LIMIT_BYTES ? [beside, fallback] : [fallback];
}

/** Of this account alone: sockets whose own path is too long, and the temporary folders of jobs. */
export function sharedTmpFolder(): string {
  return join('/tmp', `helix-${process.getuid?.()}`);
}

/**
 * Makes the folder of a socket, or checks the one that is there.
 * @throws Error when somebody else could put a socket of theirs into it
 */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const stat = lstatSync(path);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & 0o022) !== 0)
    throw new Error(`${path} is not a folder that only ${userName()} may write to`);
}
