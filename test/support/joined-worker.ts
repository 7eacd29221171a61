import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const BUNDLE = path.resolve(import.meta.dirname, '../../packages/worker/dist/helix-worker.cjs');
const HELIX = path.resolve(import.meta.dirname, '../../packages/cli/bin/helix.js');

export interface Joiner {
  pid: number;
  /** All it said on its terminal so far. */
  said(): string;
  /** Its exit status. */
  ended: Promise<number | null>;
  /** Ends it at once, as a crash would; the daemon and its jobs live on. */
  kill(): Promise<void>;
}

export interface JoinOptions {
  /** The worker's files. */
  folder: string;
  /** Given on stdin. */
  token?: string | undefined;
  env?: Record<string, string>;
  /** With `helix worker join`, which then becomes the worker's own program; that one at once when absent. */
  byHelix?: boolean;
  /** In place of the worker's program: another one of its kind. */
  program?: string;
}

/** Runs the real worker's program, as a machine does that dials in. */
export function startJoiner(url: string, { folder, token, env, byHelix = false, program = BUNDLE }: JoinOptions): Joiner {
  const words = byHelix ? [HELIX, 'worker', 'join', url] : [program, 'join', url];
  const child: ChildProcess = spawn(process.execPath, [...words, ...(token === undefined ? [] : ['--token-stdin'])], {
    env: { ...process.env, ...env, HELIX_WORKER_HOME: folder },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin?.end(token === undefined ? '' : `${token}\n`);
  let said = '';
  child.stderr?.on('data', (piece) => (said += piece));
  const ended = once(child, 'close').then(() => child.exitCode);
  return {
    pid: child.pid ?? 0,
    said: () => said,
    ended,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
