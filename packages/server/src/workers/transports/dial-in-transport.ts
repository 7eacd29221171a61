import type { Duplex } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import type { WorkerId } from '@helixcode/protocol/ids';
import { CLOSED_AS_REMOVED } from '@helixcode/protocol/worker/dial-in';
import type { WorkerTransport } from './worker-transport.ts';

/** A connection that a worker has made. */
export interface DialInStream extends Duplex {
  /** Ends it with a status. @returns whether the worker heard that and closed in turn */
  sayGoodbye(status: number, reason: string): Promise<boolean>;
}

export interface DialInTransport extends WorkerTransport {
  /** Hands over a connection for whoever asks for that worker next; an older one that nobody took is closed. */
  offer(worker: WorkerId, stream: DialInStream): void;
}

/** @param patienceMs how long `connect` waits for a worker before it says that there is none */
export function createDialInTransport(patienceMs: number): DialInTransport {
  const offered = new Map<WorkerId, DialInStream>();
  const linked = new Map<WorkerId, DialInStream>();
  const waiting = new Map<WorkerId, (stream: DialInStream) => void>();

  const take = async (worker: WorkerId, signal: AbortSignal): Promise<DialInStream | undefined> => {
    const present = offered.get(worker);
    offered.delete(worker);
    if (present && !present.destroyed) return present;
    if (signal.aborted) return undefined;
    return new Promise((resolve) => {
      const giveUp = (): void => {
        waiting.delete(worker);
        resolve(undefined);
      };
      signal.addEventListener('abort', giveUp, { once: true });
      waiting.set(worker, (stream) => {
        signal.removeEventListener('abort', giveUp);
        waiting.delete(worker);
        resolve(stream);
      });
    });
  };

  return {
    isAwaited: true,

    async connect({ worker }, ears, signal) {
      const stream = await take(worker.id, AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]));
      if (!stream)
        throw new CodedError('worker.unreachable', `${worker.name} does not dial in`, {
          next: `see on the machine that \`helix worker join\` runs; without a token there, \`helix workers enrol ${worker.name}\` makes one`,
        });
      linked.set(worker.id, stream);
      stream.once('close', () => {
        if (linked.get(worker.id) === stream) linked.delete(worker.id);
      });
      try {
        await ears.onStep('connect');
      } catch (error) {
        // Nobody will serve it: then the worker must not think that it is linked.
        stream.destroy();
        throw error;
      }
      return stream;
    },

    async uninstall({ worker }) {
      const stream = linked.get(worker.id);
      if (!(await stream?.sayGoodbye(CLOSED_AS_REMOVED, 'removed')))
        throw new CodedError('worker.unreachable', `${worker.name} does not dial in; it will be told when it does`);
    },

    offer(worker, stream) {
      const taker = waiting.get(worker);
      if (taker) return taker(stream);
      offered.get(worker)?.destroy();
      offered.set(worker, stream);
    },

    addressOf: (worker) => (worker.facts ? `${worker.facts.hostname} (dials in)` : 'dials in'),
  };
}
