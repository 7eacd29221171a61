import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '@helixcode/client/http-client';
import { CodedError } from '@helixcode/protocol/errors';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const MAIN = path.join(ROOT, 'packages/server/src/main.ts');

export interface ServerProcess {
  home: string;
  url: string;
  token: string;
  pid: number;
  client: Client;
  /** Ends the process at once, as a crash would; its database and its workers live on. */
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** What it wrote to its log so far. */
  log(): string;
}

/** A data folder of its own, which an unprivileged database account can pass through. */
export function givenHome(): string {
  return mkdtempSync(path.join(tmpdir(), 'helix-home-'), 'utf8');
}

/** Starts a real server on a free port and waits until it answers. */
export async function startServer(home: string, env: Record<string, string> = {}): Promise<ServerProcess> {
  let said = '';
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, HELIX_PORT: '0', ...env, HELIX_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr?.on('data', (piece) => (said += piece));
  // Whoever is interrupted before it could end its server takes it along.
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  child.once('exit', () => process.off('exit', endWithUs));
  const url = await firstLine(child, () => said);
  const token = readFileSync(path.join(home, 'owner-token'), 'utf8').trim();
  return {
    home,
    url,
    token,
    pid: child.pid ?? 0,
    client: createClient({ baseUrl: url, token }),
    kill: () => end(child, 'SIGKILL'),
    stop: () => end(child, 'SIGTERM'),
    log: () => said,
  };
}

/** Ends a server and its workers, and removes all they left; also when a test has left the server dead. */
export async function removeServer(server: ServerProcess): Promise<void> {
  try {
    const { items } = await server.client.call('workers.list');
    for (const worker of items) await server.client.call('workers.remove', { params: { worker: worker.id }, query: { force: true } });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    for (const pid of localDaemonsOf(server.home)) process.kill(pid, 'SIGKILL');
  } finally {
    await server.stop();
    await removeHome(server.home);
  }
}

/** Ends the local workers and the database that may still run from a data folder, and removes the folder. */
export async function removeHome(home: string): Promise<void> {
  for (const pid of localDaemonsOf(home)) process.kill(pid);
  const { stopEmbeddedPostgres } = await import('@helixcode/server/db/embedded-postgres');
  const postgres = path.join(home, 'postgres');
  if (existsSync(postgres)) await stopEmbeddedPostgres(postgres);
  rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

function localDaemonsOf(home: string): number[] {
  const locks = globSync('local/*/run/*/*/lock', { cwd: home });
  const pids = locks.map((lock) => Number(readFileSync(path.join(home, lock), 'utf8').split(' ')[0]));
  return pids.filter((pid) => pid > 1 && existsSync(`/proc/${pid}`));
}

async function firstLine(child: ChildProcess, said: () => string): Promise<string> {
  let text = '';
  for await (const piece of child.stdout ?? []) {
    text += piece;
    const line = /^listening on (\S+)$/m.exec(text)?.[1];
    if (line) {
      child.stdout?.resume();
      return line;
    }
  }
  throw new Error(`the server ended before it listened:\n${said()}`);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  child.kill(signal);
  await closed;
}
