import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';
import type { HelixContext } from '../helix-context.ts';
import { dataFolderOf, findServerProcess, readOwnerToken, readServerUrl } from '../local-server.ts';

interface Flags {
  foreground?: boolean;
  port?: number;
}

const LOOK_AGAIN_MS = 20;
/** The very first start unpacks and initialises a database. */
const START_WITHIN_MS = 120_000;

export default async function up(this: HelixContext, flags: Flags): Promise<void> {
  const dataFolder = dataFolderOf(this);
  const running = findServerProcess(dataFolder);
  if (running) {
    const url = await waitForAnswer(dataFolder, () => findServerProcess(dataFolder) === undefined);
    if (url === undefined)
      throw new CodedError('server.start_failed', `the server (pid ${running.pid}) ended before it answered`, { next: 'helix up' });
    return report(this, { url, pid: running.pid, dataFolder, isNew: false });
  }

  const main = fileURLToPath(new URL('../../../server/src/main.ts', import.meta.url));
  if (!existsSync(main))
    throw new CodedError('server.start_failed', `the server is not installed: there is no ${main}`, { next: 'npm ci' });
  const compiled = module.getCompileCacheDir();
  const env = {
    ...this.env,
    // The folder itself is named after the version of Node: the server names it once more.
    ...(compiled !== undefined && { NODE_COMPILE_CACHE: path.dirname(compiled) }),
    // Named only where the person named it: an unnamed one lets the server look into the user's configuration.
    ...((this.flags.home || this.env.HELIX_HOME) && { HELIX_HOME: dataFolder }),
    ...(flags.port !== undefined && { HELIX_PORT: String(flags.port) }),
  };
  if (flags.foreground) {
    this.exitStatus = await runInFront(main, env, this.cwd);
    return;
  }

  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const logFile = path.join(dataFolder, 'server.log');
  const log = openSync(logFile, 'a', 0o600);
  const { size: logStart } = fstatSync(log);
  const child = spawn(process.execPath, [main], { env, cwd: this.cwd, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  let ended: string | undefined;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code, signal) => (ended ??= signal === null ? `status ${code}` : `signal ${signal}`));
  const slow = setTimeout(() => this.out.note('starting; the very first start sets up a database and takes a few seconds'), 2_000);
  try {
    const url = await waitForAnswer(dataFolder, () => ended !== undefined);
    if (url === undefined) throw startError(logFile, logStart, ended);
    child.unref();
    report(this, { url, pid: child.pid ?? 0, dataFolder, isNew: true });
  } finally {
    clearTimeout(slow);
  }
}

function report(
  context: HelixContext,
  { url, pid, dataFolder, isNew }: { url: string; pid: number; dataFolder: string; isNew: boolean },
): void {
  const { out } = context;
  const tokenFile = path.join(dataFolder, 'owner-token');
  if (out.format !== 'text')
    return out.json({ url, pid, tokenFile, dataFolder, logFile: path.join(dataFolder, 'server.log'), started: isNew });
  out.note(
    isNew ? `the server runs (pid ${pid}); its log is ${path.join(dataFolder, 'server.log')}` : `the server runs already (pid ${pid})`,
  );
  out.note(`the owner's token is in ${tokenFile}`);
  out.line(url);
  out.hint('helix workers add user@host makes a machine a worker; helix test runs the tests of a repository');
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

/** Signals of the terminal reach both processes; the server ends in order, and its status is ours. */
function runInFront(main: string, env: NodeJS.ProcessEnv, cwd: string): Promise<number> {
  const child = spawn(process.execPath, [main], { env, cwd, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  process.on('SIGTERM', pass);
  process.on('SIGHUP', pass);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', pass);
      process.off('SIGHUP', pass);
      resolve(code ?? 1);
    });
  });
}
