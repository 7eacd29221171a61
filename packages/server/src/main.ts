/**
 * The server process. Says `listening on URL` on stdout when it answers, logs to stderr as JSON lines, ends in order on
 * SIGTERM and SIGINT. Its address and process stand in `server.json` of the data folder while it runs.
 */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError, ERROR_CODES } from '@helixcode/protocol/errors';
import { destination, pino } from 'pino';
import packageFile from '../package.json' with { type: 'json' };
import { startApp } from './app.ts';
import { loadConfig } from './config.ts';
import { lockDataFolder } from './db/data-folder-lock.ts';

/** What is not handed over by then is taken over, as after a crash. */
const END_WITHIN_MS = 20_000;
/** Argument of a server that starts anew in its own place: nobody else would start it once more. */
const ANEW = '--anew';
const AGAIN_AFTER_MS = 1_000;

try {
  await run();
} catch (error) {
  const coded = error instanceof CodedError ? error : undefined;
  process.stderr.write(
    `${JSON.stringify({ error: coded?.toFact() ?? { code: 'api.internal', message: String((error as Error)?.stack ?? error) } })}\n`,
  );
  process.exit(coded ? ERROR_CODES[coded.code].exit : 1);
}

async function run(): Promise<void> {
  const config = loadConfig();
  const { dataFolder } = config;
  mkdirSync(dataFolder, { recursive: true });
  // As root, PostgreSQL runs under an unprivileged account that must pass through; what is in the folder has its own mode.
  chmodSync(dataFolder, process.getuid?.() === 0 ? 0o711 : 0o700);
  const lock = lockDataFolder(dataFolder, { what: 'a helix server' });
  const log = pino({ level: config.config.global.logLevel, base: undefined }, destination({ fd: 2, sync: false }));
  let isEnding = false;
  const startAnew = (): void => {
    if (isEnding) return;
    isEnding = true;
    log.warn('starting anew, as after a crash');
    lock.release();
    if (process.execve === undefined) process.exit(ERROR_CODES['server.lease_lost'].exit);
    const args = process.argv.slice(1).filter((arg) => arg !== ANEW);
    process.execve(process.execPath, [process.execPath, ...process.execArgv, ...args, ANEW], process.env);
  };
  const app = await startApp({ config, version: packageFile.version, log, onLost: startAnew }).catch(async (error: unknown) => {
    if (!process.argv.includes(ANEW) || !mayPass(error)) throw error;
    log.warn({ err: error }, 'the start failed and is tried again');
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    startAnew();
    throw error;
  });
  const addressFile = join(dataFolder, 'server.json');
  writeFileSync(addressFile, `${JSON.stringify({ url: app.url, pid: process.pid, version: packageFile.version })}\n`);
  // Whoever started it may have read what it wanted, and be gone when it says so once more.
  process.stdout.on('error', () => {});
  process.stdout.write(`listening on ${app.url}\n`);
  log.info({ url: app.url }, 'listening');

  const end = async (signal: string): Promise<void> => {
    if (isEnding) return;
    isEnding = true;
    log.info({ signal }, 'ending');
    setTimeout(() => {
      log.error(`the server did not end within ${END_WITHIN_MS} ms`);
      process.exit(1);
    }, END_WITHIN_MS).unref();
    await app.close();
    rmSync(addressFile, { force: true });
    lock.release();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      end(signal).catch((error: unknown) => {
        log.error({ err: error }, 'the server did not end in order');
        process.exit(1);
      });
    });
}

/** Whether a start may succeed later: the database is away, or something nobody has thought of. */
function mayPass(error: unknown): boolean {
  return !(error instanceof CodedError) || ERROR_CODES[error.code].retryable;
}
