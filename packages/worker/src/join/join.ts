import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { CLOSED_AS_REMOVED, WORKER_TOKEN_PREFIX } from '@helixcode/protocol/worker/dial-in';
import { redialDelayMs } from '@helixcode/protocol/worker/redial-delay';
import { AGENT_HASH } from '../agent-hash.ts';
import { connectDaemon } from '../attach/connect-daemon.ts';
import { stopDaemon } from '../attach/stop-daemon.ts';
import { lockOwner, takeDaemonLock } from '../home/daemon-lock.ts';
import { workerHome } from '../home/worker-home.ts';
import { readIfThere } from '../home/write-file.ts';
import { killLeftovers } from '../jobs/process-table.ts';
import { storeAgent } from './agent-store.ts';
import { type DialledServer, dialServer, fetchAgentOf } from './dial-server.ts';
import { type JoinedServer, JoinedServerFile } from './joined-server.ts';
import type { WebSocketStream } from './web-socket-stream.ts';

/** A link that lasted so long was a good one: the next dial is the first of its kind. */
const GOOD_LINK_MS = 2_000;
/** Silence of this many beats ends the link; and never less than this, as a daemon may take a while to start. */
const BEATS_UNTIL_DROPPED = 3;
const SHORTEST_SILENCE_MS = 5_000;
/** An agent that was refused is not fetched again for so long. */
const AGENT_PAUSE_MS = 600_000;

/** Dialling again would change nothing. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['worker.enrolment_refused', 'worker.token_refused', 'worker.removed', 'config.invalid']);
/** The same, as long as there never was a link: a person has named the wrong place, or has to trust it first. */
const FINAL_AT_FIRST: ReadonlySet<ErrorCode> = new Set(['server.certificate_refused', 'server.not_helix']);

export interface JoinOptions {
  /** `http(s)://host[:port][/path]` */
  url: string;
  enrolment: string | undefined;
  /** `WORKER_CAPABILITIES` */
  labels: string | undefined;
  /** What a person at the terminal, or the journal, is told. */
  say(line: string): void;
}

/**
 * Keeps this machine linked to a server that it dials, until the server has removed it. Between the server and the daemon
 * it only passes bytes on: it may be killed at any time, and jobs go on.
 *
 * @throws CodedError when a person has to do something first
 */
export async function joinServer(options: JoinOptions): Promise<void> {
  const url = checkUrl(options.url);
  const file = new JoinedServerFile(workerHome('default').root, url);
  takeLock(file, url);
  if (url.startsWith('http:') && !isLoopback(url))
    options.say(`warning: the link to ${url} is not encrypted; whoever is on the way can give this machine commands`);
  await new Joiner(url, file, options).run();
}

class Joiner {
  readonly #url: string;
  readonly #file: JoinedServerFile;
  readonly #options: JoinOptions;
  #enrolment: string | undefined;
  #failures = 0;
  #hasBeenLinked = false;
  #lastSaid = '';
  #refusedAgent = { hash: '', untilMs: 0 };

  constructor(url: string, file: JoinedServerFile, options: JoinOptions) {
    this.#url = url;
    this.#file = file;
    this.#options = options;
    this.#enrolment = options.enrolment;
  }

  async run(): Promise<void> {
    for (;;) {
      const startedMs = performance.now();
      let error: CodedError;
      try {
        error = await this.#linkOnce();
      } catch (cause) {
        error =
          cause instanceof CodedError
            ? cause
            : new CodedError('worker.link_lost', cause instanceof Error ? cause.message : String(cause), { cause });
      }
      if (error.code === 'worker.removed' || error.code === 'worker.token_refused') {
        if (error.code === 'worker.removed') await this.#leave();
        if (this.#enrolment !== undefined) {
          // Enrolled anew, it begins as another worker. Otherwise its token stays: a server may have lost its memory for a while.
          this.#file.remove();
          continue;
        }
      }
      if (FINAL.has(error.code) || (FINAL_AT_FIRST.has(error.code) && !this.#hasBeenLinked)) throw error;
      if (performance.now() - startedMs > GOOD_LINK_MS) this.#failures = 0;
      this.#say(
        `${error.message}; trying again${error.next === undefined || error.code === 'worker.link_lost' ? '' : `\nnext: ${error.next}`}`,
      );
      await sleep(redialDelayMs(this.#failures++));
    }
  }

  /** @returns why the link ended */
  async #linkOnce(): Promise<CodedError> {
    const joined = this.#present();
    const { token } = joined;
    const enrolment = joined.worker === undefined ? this.#enrolment : undefined;
    const server = await dialServer({ url: this.#url, token, enrolment, labels: this.#options.labels });
    // Listened to from its first moment: it may break while an agent is fetched or the daemon starts.
    const gone = whenGone(server.stream, this.#url);
    this.#file.write({ url: this.#url, token, worker: server.workerId, name: server.workerName });
    if (enrolment !== undefined) this.#enrolment = undefined;
    this.#hasBeenLinked = true;
    if (server.agent.hash !== AGENT_HASH) await this.#changeAgent(server, token);
    return this.#pass(server, gone);
  }

  #present(): JoinedServer {
    const joined = this.#file.read();
    if (joined) return joined;
    if (this.#enrolment === undefined)
      throw new CodedError('worker.enrolment_refused', `this machine has not joined ${this.#url}, and was given no enrolment token`, {
        next: `helix workers enrol <name>   (where you are signed in), then \`helix worker join ${this.#url} --token-stdin\` here`,
      });
    // On the disk before the server learns of it: whatever dies in between, the exchange can be repeated.
    const fresh: JoinedServer = { url: this.#url, token: WORKER_TOKEN_PREFIX + randomBytes(32).toString('base64url') };
    this.#file.write(fresh);
    return fresh;
  }

  /** Passes bytes between the server and the daemon until either is gone. */
  async #pass(server: DialledServer, gone: Promise<string>): Promise<CodedError> {
    const { stream, workerId, workerName } = server;
    let daemon: Socket;
    try {
      daemon = await connectDaemon(workerHome(workerId));
    } catch (error) {
      stream.destroy();
      throw error;
    }
    if (stream.destroyed) {
      daemon.destroy();
      return new CodedError('worker.link_lost', await gone);
    }
    this.#say(`linked to ${this.#url} as worker ${workerName}`);
    const silence = watchSilence(stream, Math.max(SHORTEST_SILENCE_MS, server.heartbeatMs * BEATS_UNTIL_DROPPED));
    const daemonGone = new Promise<string>((resolve) => {
      daemon.on('error', (error) => resolve(`the daemon of ${workerName} broke off: ${error.message}`));
      daemon.on('end', () => resolve(`the daemon of ${workerName} ended the link`));
    });
    stream.pipe(daemon);
    daemon.pipe(stream);
    const ended = await Promise.race([gone, daemonGone]);
    const why = silence.isOver() ? `${this.#url} has been silent for too long` : ended;
    silence.stop();
    // What the daemon said last is still on its way.
    if (!stream.destroyed) await Promise.race([new Promise((resolve) => stream.once('close', resolve)), sleep(1_000)]);
    stream.destroy();
    daemon.destroy();
    if (stream.closeStatus === CLOSED_AS_REMOVED)
      return new CodedError('worker.removed', `worker ${workerName} was removed from the pool`, {
        next: `helix workers enrol ${workerName}`,
      });
    return new CodedError('worker.link_lost', why);
  }

  /** Becomes the agent the server wants; the present one goes on where that cannot be had. */
  async #changeAgent({ agent, stream }: DialledServer, token: string): Promise<void> {
    const { hash, untilMs } = this.#refusedAgent;
    if (agent.hash === hash && performance.now() < untilMs) return;
    try {
      const path = await storeAgent(this.#file.root, agent, () => fetchAgentOf(this.#url, token));
      this.#say(`agent ${AGENT_HASH} makes room for ${agent.hash}`);
      stream.destroy();
      process.execve?.(process.execPath, [process.execPath, ...process.execArgv, path, 'join', this.#url], process.env);
    } catch (error) {
      this.#refusedAgent = { hash: agent.hash, untilMs: performance.now() + AGENT_PAUSE_MS };
      this.#say(`agent ${AGENT_HASH} goes on: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Ends the daemon and its jobs and deletes what the worker had, as the server has asked for. */
  async #leave(): Promise<void> {
    const worker = this.#file.read()?.worker;
    this.#file.remove();
    if (worker === undefined) return;
    const home = workerHome(worker);
    await stopDaemon(home);
    killLeftovers(new Set(existsSync(home.jobsFolder) ? readdirSync(home.jobsFolder) : []));
    rmSync(home.runFolder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  /** Once: what has been said is not said again at every try. */
  #say(line: string): void {
    if (line === this.#lastSaid) return;
    this.#lastSaid = line;
    this.#options.say(line);
  }
}

/** @returns why the link is gone, once it is */
function whenGone(stream: WebSocketStream, url: string): Promise<string> {
  return new Promise((resolve) => {
    stream.on('error', (error) => resolve(`the link to ${url} broke: ${error.message}`));
    for (const event of ['end', 'close']) stream.on(event, () => resolve(`${url} ended the link`));
  });
}

function watchSilence(stream: WebSocketStream, limitMs: number): { isOver(): boolean; stop(): void } {
  let heardMs = performance.now();
  let isOver = false;
  stream.on('data', () => (heardMs = performance.now()));
  const timer = setInterval(() => {
    if (performance.now() - heardMs < limitMs) return;
    isOver = true;
    stream.destroy();
  }, limitMs / 4);
  return { isOver: () => isOver, stop: () => clearInterval(timer) };
}

function takeLock(file: JoinedServerFile, url: string): void {
  file.makeFolder();
  const owner = takeDaemonLock(file.lockPath) ? process.pid : lockOwner(readIfThere(file.lockPath) ?? '');
  // It may be this process before it became another agent.
  if (owner !== undefined && owner !== process.pid)
    throw new CodedError('worker.exists', `process ${owner} keeps the link of this machine to ${url} already`, { next: `kill ${owner}` });
  process.on('exit', () => file.releaseLock());
  // Also as the first process of a container, which has no signals but those it listens to.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(0));
}

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.search === '')
    return `${url.origin}${url.pathname}`.replace(/\/$/, '');
  throw new CodedError('cli.bad_usage', `${text} is not the URL of a server`, { next: 'helix worker join https://helix.example.org' });
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);
}
