import { appendFileSync, copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ServerProcess, startServer } from '../support/server-process.ts';
import { lastingPort } from './lasting-port.ts';
import { isAlive } from './processes-in.ts';

/** Packed once on this machine, not for every server. */
const PARTS_FOLDER = path.resolve(import.meta.dirname, '../../node_modules/.cache/helix-test-parts');
const START_AGAIN_MS = 300;
const STARTS_WITHIN_MS = 120_000;

/** One of the servers of a world: always at the same address and with the same data folder, whatever is done to it. */
export interface ChaosServer {
  name: string;
  home: string;
  url: string;
  /** Whether it is meant to answer: neither killed nor paused by us. */
  isWell: boolean;
  /** The process as it was last started. */
  process: ServerProcess;
  kill(): Promise<void>;
  /** Starts it again. @throws Error when it does not start, again and again */
  start(): Promise<void>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  goOn(): void;
  /** Whether it has ended although nobody ended it. */
  hasEndedByItself(): boolean;
  close(): Promise<void>;
}

/**
 * @param env how it is configured, beside its address and its data folder
 * @param first the server whose key for the secrets of the database it gets
 */
export async function givenChaosServer(
  worldFolder: string,
  name: string,
  env: Record<string, string>,
  first: Pick<ChaosServer, 'home'> | undefined,
): Promise<ChaosServer> {
  const home = path.join(worldFolder, name);
  mkdirSync(home, { mode: 0o711 });
  if (first) copyFileSync(path.join(first.home, 'secret.key'), path.join(home, 'secret.key'));
  mkdirSync(PARTS_FOLDER, { recursive: true });
  symlinkSync(PARTS_FOLDER, path.join(home, 'parts'));
  const port = await lastingPort();
  const logFile = path.join(worldFolder, `${name}.log`);
  let isClosed = false;

  const launch = () => startServer(home, { ...env, HELIX_PORT: String(port) });
  /** As a service manager does. What never starts ends the run. */
  const launchUntilItStays = async (): Promise<ServerProcess> => {
    for (const deadlineMs = performance.now() + STARTS_WITHIN_MS; ; await sleep(START_AGAIN_MS)) {
      try {
        return await launch();
      } catch (error) {
        // Without its database, or where the others have given it up meanwhile, it does not start.
        appendFileSync(logFile, `--- did not start: ${String(error)}\n`);
        if (isClosed || performance.now() > deadlineMs) throw error;
      }
    }
  };
  const keepLog = ({ pid, log }: ServerProcess): void => appendFileSync(logFile, `--- process ${pid}\n${log()}`);
  const server: ChaosServer = {
    name,
    home,
    url: `http://127.0.0.1:${port}`,
    isWell: true,
    process: await launchUntilItStays(),
    async kill() {
      server.isWell = false;
      await server.process.kill();
      keepLog(server.process);
    },
    async start() {
      server.process = await launchUntilItStays();
      server.isWell = true;
    },
    pause() {
      server.isWell = false;
      process.kill(server.process.pid, 'SIGSTOP');
    },
    goOn() {
      process.kill(server.process.pid, 'SIGCONT');
      server.isWell = true;
    },
    hasEndedByItself: () => server.isWell && !isAlive(server.process.pid),
    async close() {
      isClosed = true;
      const wasAlive = isAlive(server.process.pid);
      await server.process.kill();
      if (wasAlive || existsSync(home)) keepLog(server.process);
    },
  };
  return server;
}
