import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { socketPaths, type WorkerHome } from '../home/worker-home.ts';
import { agentCommand } from './agent-command.ts';

const START_WITHIN_MS = 15_000;
const RETRY_MS = 10;

/**
 * Connects to the daemon of this home, starting it where none answers.
 * @throws Error that quotes the daemon's log when it does not come up
 */
export async function connectDaemon(home: WorkerHome): Promise<Socket> {
  const running = await tryConnect(home);
  if (running) return running;
  const daemon = startDaemon(home);
  let exitCode: number | undefined;
  daemon.on('exit', (code) => {
    exitCode = code ?? 1;
  });
  for (const deadlineMs = performance.now() + START_WITHIN_MS; performance.now() < deadlineMs; ) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    const socket = await tryConnect(home);
    if (socket) return socket;
    // Status 0: another daemon was quicker, and is about to listen.
    if (exitCode !== undefined && exitCode !== 0) break;
  }
  const log = readFileSync(home.logFile, 'utf8').trim().split('\n').slice(-5).join('\n');
  throw new Error(`the daemon did not start; the end of ${home.logFile}:\n${log}`);
}

async function tryConnect(home: WorkerHome): Promise<Socket | undefined> {
  for (const path of socketPaths(home)) {
    const socket = await new Promise<Socket | undefined>((resolve) => {
      const attempt = connect({ path, allowHalfOpen: true });
      attempt.once('connect', () => resolve(attempt));
      attempt.once('error', () => resolve(undefined));
    });
    if (socket) return socket;
  }
  return undefined;
}

/** In a session of its own and with nothing of ours open: an ssh session ends only when nobody holds its pipes. */
function startDaemon(home: WorkerHome): ChildProcess {
  mkdirSync(home.runFolder, { recursive: true, mode: 0o700 });
  const log = openSync(home.logFile, 'a', 0o600);
  const [program = '', ...args] = agentCommand();
  const daemon = spawn(program, [...args, 'daemon', '--ns', home.namespace], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: home.root,
  });
  closeSync(log);
  daemon.on('error', () => {});
  daemon.unref();
  return daemon;
}
