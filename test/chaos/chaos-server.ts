import { appendFileSync, copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../packages/server/test/support/sshd.ts';
import { type ServerProcess, startServer } from '../support/server-process.ts';
import { isAlive } from './processes-in.ts';

/** Packed once on this machine, not for every server. */
const PARTS_FOLDER = path.resolve(import.meta.dirname, '../../node_modules/.cache/helix-test-parts');
const START_AGAIN_MS = 300;

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
  /** Starts it again, as a service manager does: until it stays. */
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
  const port = await freePort();
  const logFile = path.join(worldFolder, `${name}.log`);
  let isClosed = false;

  const launch = () => startServer(home, { ...env, HELIX_PORT: String(port) });
  const keepLog = ({ pid, log }: ServerProcess): void => appendFileSync(logFile, `--- process ${pid}\n${log()}`);
  const server: ChaosServer = {
    name,
    home,
    url: `http://127.0.0.1:${port}`,
    isWell: true,
    process: await launch(),
    async kill() {
      server.isWell = false;
      await server.process.kill();
      keepLog(server.process);
    },
    async start() {
      while (!isClosed) {
        try {
          server.process = await launch();
          server.isWell = true;
          return;
        } catch (error) {
          // Without its database it does not start; whoever manages services starts it again.
          appendFileSync(logFile, `--- did not start: ${String(error)}\n`);
          await sleep(START_AGAIN_MS);
        }
      }
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
