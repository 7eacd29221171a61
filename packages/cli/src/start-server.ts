import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';
import type { HelixContext } from './helix-context.ts';
import { dataFolderOf, findServerProcess, readOwnerToken, readServerUrl } from './local-server.ts';

const LOOK_AGAIN_MS = 20;
/** The very first start unpacks and initialises a database. */
const START_WITHIN_MS = 120_000;

/** The server of this machine, once it answers. */
export interface StartedServer {
  url: string;
  pid: number;
  dataFolder: string;
  /** False: it ran already. */
  isNew: boolean;
}

/** How the server is run: its program, and its environment as the command line has it. */
export function serverProgram(context: HelixContext, port: number | undefined): { main: string; env: NodeJS.ProcessEnv } {
  const main = fileURLToPath(new URL('../../server/src/main.ts', import.meta.url));
  if (!existsSync(main))
    throw new CodedError('server.start_failed', `the server is not installed: there is no ${main}`, { next: 'npm ci' });
  const compiled = module.getCompileCacheDir();
  const env = {
    ...context.env,
    // The folder itself is named after the version of Node: the server names it once more.
    ...(compiled !== undefined && { NODE_COMPILE_CACHE: path.dirname(compiled) }),
    // Named only where the person named it: an unnamed one lets the server look into the user's configuration.
    ...((context.flags.home || context.env.HELIX_HOME) && { HELIX_HOME: dataFolderOf(context) }),
    ...(port !== undefined && { HELIX_PORT: String(port) }),
  };
  return { main, env };
}

/** The server that runs already, or is just starting. @throws CodedError `server.start_failed` where it ends before it answers */
export async function findStartedServer(context: HelixContext): Promise<StartedServer | undefined> {
  const dataFolder = dataFolderOf(context);
  const running = findServerProcess(dataFolder);
  if (running === undefined) return undefined;
  const url = await waitForAnswer(dataFolder, () => findServerProcess(dataFolder) === undefined);
  if (url === undefined)
    throw new CodedError('server.start_failed', `the server (pid ${running.pid}) ended before it answered`, { next: 'helix up' });
  return { url, pid: running.pid, dataFolder, isNew: false };
}

/** Starts a server that outlives this command. @throws CodedError with why it did not start */
export async function startServer(context: HelixContext, port?: number): Promise<StartedServer> {
  const { main, env } = serverProgram(context, port);
  const dataFolder = dataFolderOf(context);
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const logFile = path.join(dataFolder, 'server.log');
  const log = openSync(logFile, 'a', 0o600);
  const { size: logStart } = fstatSync(log);
  const child = spawn(process.execPath, [main], { env, cwd: context.cwd, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  let ended: string | undefined;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code, signal) => (ended ??= signal === null ? `status ${code}` : `signal ${signal}`));
  const slow = setTimeout(() => context.out.note('starting; the very first start sets up a database and takes a few seconds'), 2_000);
  try {
    const url = await waitForAnswer(dataFolder, () => ended !== undefined);
    if (url === undefined) throw startError(logFile, logStart, ended);
    child.unref();
    return { url, pid: child.pid ?? 0, dataFolder, isNew: true };
  } finally {
    clearTimeout(slow);
  }
}

/** @returns the URL, once the server answers there; `undefined` when `isOver` or after a long time */
async function waitForAnswer(dataFolder: string, isOver: () => boolean): Promise<string | undefined> {
  const deadlineMs = performance.now() + START_WITHIN_MS;
  while (!isOver() && performance.now() < deadlineMs) {
    // The lock comes first: before it is held, server.json may be that of an earlier server.
    const url = findServerProcess(dataFolder) && readServerUrl(dataFolder);
    if (url && (await answers(url, readOwnerToken(dataFolder)))) return url;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  return undefined;
}

async function answers(url: string, token: string | undefined): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/v1/server`, {
      headers: { authorization: `Bearer ${token ?? ''}` },
      signal: AbortSignal.timeout(5_000),
    });
    await response.body?.cancel();
    return response.ok || response.status === 401;
  } catch {
    return false;
  }
}

/** The server tells why it cannot start in its last line: an error as JSON. */
function startError(logFile: string, from: number, ended: string | undefined): CodedError {
  const lines = readFrom(logFile, from).trim().split('\n');
  for (const line of lines.toReversed()) {
    try {
      const { error } = JSON.parse(line) as { error?: { code?: unknown; message?: unknown; next?: unknown } };
      if (typeof error?.code === 'string' && isErrorCode(error.code) && typeof error.message === 'string')
        return new CodedError(error.code, error.message, { next: typeof error.next === 'string' ? error.next : `tail ${logFile}` });
    } catch {
      // A line of the log in another form.
    }
  }
  // Of a crash the line with the error tells more than the last one, which closes its stack.
  const said = (lines.findLast((line) => /^\w*Error\b.*:/.test(line)) ?? lines.at(-1) ?? '').slice(0, 500);
  return new CodedError(
    'server.start_failed',
    `the server did not start (${ended ?? 'it did not answer in time'})${said === '' ? '' : `: ${said}`}`,
    {
      next: `tail ${logFile}`,
    },
  );
}

function readFrom(file: string, offset: number): string {
  const handle = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(Math.min(64 * 1024, fstatSync(handle).size - offset));
    readSync(handle, buffer, 0, buffer.length, Math.max(offset, fstatSync(handle).size - buffer.length));
    return buffer.toString();
  } finally {
    closeSync(handle);
  }
}
