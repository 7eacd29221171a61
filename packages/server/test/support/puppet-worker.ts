import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import type { Db } from '@helixcode/server/db/db';
import { openFrameStream } from '@helixcode/server/workers/frame-stream';
import type { WorkerTransport } from '@helixcode/server/workers/transports/worker-transport';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import { givenMemoryBook } from './memory-book.ts';
import { givenSimulatedWorker, type SimulatedWorker } from './simulated-worker.ts';
import { givenRegistry, socketTransport, type TestRegistry } from './worker-registry.ts';

/** What a dial meets next: a step on the way, the daemon, or an error that ends it. */
type Word = 'probe' | 'install' | 'connect' | 'link' | CodedError;

export const unreachable = new CodedError('worker.unreachable', 'nothing answers there');
export const keyUnknown = new CodedError('worker.host_key_unknown', 'the machine shows a key that nobody knows');

/** Newer than any link of a test. */
const LATER_EPOCH = 1_000_000;

/** A worker of a real registry, whose dials go exactly as far as the test says and then wait for its next word. */
export interface PuppetWorker {
  registry: TestRegistry;
  worker: WorkerSupervisor;
  /** Who answers a dial that gets as far as `link`. */
  daemon: SimulatedWorker;
  say(...words: Word[]): void;
  /** Whether dials for which there is no word fail at once. */
  stayAway(isAway: boolean): void;
  /** Another server opens a later link to the daemon. */
  supersede(): Promise<void>;
  /** Lets the present dial reach a daemon that knows a later link. */
  refuseNext(): Promise<void>;
  /** A person asks for a dial now. */
  reconnect(): Promise<void>;
  remove(): Promise<boolean>;
  /** Takes a new worker to the state in which it is to be met. */
  bringTo(state: WorkerState): Promise<void>;
  /** Its moves so far, oldest first, as `from --command--> to`. */
  moves(): Promise<string[]>;
  /** Resolves when there are more moves than so many. */
  untilMoved(count: number): Promise<void>;
  end(): Promise<void>;
}

/** The only worker of the database from then on. */
export async function givenPuppetWorker(db: Db): Promise<PuppetWorker> {
  await db.query('truncate workers, events cascade');
  const folder = mkdtempSync(join(tmpdir(), 'helix-puppet-'));
  const socketPath = join(folder, 'w.sock');
  const daemon = await givenSimulatedWorker({ socketPath });
  const words: Word[] = [];
  let isAway = false;
  let heed: (() => void) | undefined;

  const nextWord = async (signal: AbortSignal): Promise<Word> => {
    for (;;) {
      if (signal.aborted) return unreachable;
      const word = words.shift() ?? (isAway ? unreachable : undefined);
      if (word !== undefined) return word;
      await new Promise<void>((resolve) => {
        heed = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  };
  const transport: WorkerTransport = {
    ...socketTransport,
    async connect(target, ears, signal) {
      for (;;) {
        const word = await nextWord(signal);
        if (word instanceof CodedError) throw word;
        if (word === 'link') return socketTransport.connect(target, { ...ears, onStep: async () => {} }, signal);
        await ears.onStep(word);
      }
    },
  };
  const registry = await givenRegistry({
    db,
    folder,
    book: givenMemoryBook(),
    transports: { local: transport },
    workers: { heartbeatMs: 300, lostAfterMs: 1_000 },
  });
  const changes = new Set<() => void>();
  registry.onChange(() => {
    for (const tell of changes) tell();
    changes.clear();
  });
  const worker = await registry.add({ name: `puppet-${folder.slice(-6)}`, transport: 'local', labels: [], folder: socketPath });

  const puppet: PuppetWorker = {
    registry,
    worker,
    daemon,
    say(...more) {
      words.push(...more);
      heed?.();
    },
    stayAway(away) {
      isAway = away;
      heed?.();
    },
    async supersede() {
      const socket = connect(socketPath);
      await new Promise<void>((resolve) => {
        const frames = openFrameStream(socket, { onFrames: () => resolve(), onEnd: () => socket.destroy() });
        frames.send({ t: 'hello', server: 'another', epoch: LATER_EPOCH, protocols: [1] });
      });
    },
    async refuseNext() {
      await puppet.supersede();
      puppet.say('link');
    },
    reconnect: () => registry.reconnect(worker, undefined),
    remove: () => registry.remove(worker, true),
    async bringTo(state) {
      if (state === 'probing') puppet.say('probe');
      if (state === 'installing') puppet.say('probe', 'install');
      if (state === 'connecting') puppet.say('connect');
      if (state === 'up' || state === 'degraded') puppet.say('connect', 'link');
      if (state === 'suspect' || state === 'lost') puppet.say('connect', unreachable);
      if (state === 'blocked') puppet.say('probe', keyUnknown);
      if (state === 'degraded') {
        await untilIn('up');
        daemon.hang(true);
      }
      if (state === 'lost') puppet.stayAway(true);
      await untilIn(state);
      puppet.stayAway(false);
    },
    async moves() {
      const { rows } = await db.query<{ move: string }>(
        `select from_state || ' --' || command || '--> ' || to_state as move from worker_connectivity_events where worker_id = $1 order by id`,
        [worker.row.id],
      );
      return rows.map(({ move }) => move);
    },
    untilMoved: (count) => until(async () => (await puppet.moves()).length > count),
    async end() {
      await registry.stop();
      await daemon.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return puppet;

  function untilIn(state: WorkerState): Promise<void> {
    return until(async () => worker.row.state === state);
  }

  async function until(isSo: () => Promise<boolean>): Promise<void> {
    for (;;) {
      const changed = new Promise<void>((resolve) => changes.add(resolve));
      if (await isSo()) return;
      await changed;
    }
  }
}
