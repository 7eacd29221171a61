import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { type HelixConfig, helixConfig } from '@helixcode/protocol/config/helix-config';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { newId, type WorkerId } from '@helixcode/protocol/ids';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import { openSecretBox } from '@helixcode/server/auth/secret-box';
import type { Db } from '@helixcode/server/db/db';
import type { JobBook, WorkerServices } from '@helixcode/server/workers/job-book';
import { createDialInTransport } from '@helixcode/server/workers/transports/dial-in-transport';
import type { WorkerTransport } from '@helixcode/server/workers/transports/worker-transport';
import { createWorkerRegistry, type RegistryOptions, type WorkerRegistry } from '@helixcode/server/workers/worker-registry';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import pino from 'pino';

export interface TestRegistry extends WorkerRegistry {
  readonly lost: { worker: WorkerId; reason: ErrorFact }[];
  /** Resolves when the worker is in one of these states; fails with its reason when it is stuck elsewhere. */
  whenState(worker: WorkerSupervisor, ...states: WorkerState[]): Promise<void>;
}

export interface TestRegistryOptions {
  db: Db;
  folder: string;
  book: JobBook;
  services?: WorkerServices;
  transports: Partial<RegistryOptions['transports']>;
  agentHash?: string;
  workers?: Partial<HelixConfig['workers']>;
}

/** One server, however often it is started. */
const serverId = newId('server');

const nowhere: WorkerTransport = {
  connect: () => Promise.reject(new CodedError('worker.unreachable', 'this test has no such machines')),
  uninstall: () => Promise.resolve(),
  addressOf: (worker) => worker.name,
};

export const noServices: WorkerServices = {
  openUploadPack: () => Promise.reject(new Error('no git here')),
  readBlob: () => Promise.resolve(undefined),
  writeBlob: () => Promise.reject(new Error('no blobs here')),
  storeCheckpoint: () => Promise.reject(new Error('no checkpoints here')),
  missCheckpoint: () => {},
};

/** A started registry; without more in `workers` it knows no worker. */
export async function givenRegistry(options: TestRegistryOptions): Promise<TestRegistry> {
  const lost: TestRegistry['lost'] = [];
  const config = helixConfig.parse({ workers: { local: false, ...options.workers } }).workers;
  const registry = createWorkerRegistry({
    db: options.db,
    log: pino({ level: process.env['HELIX_TEST_LOG'] ?? 'silent' }),
    serverId,
    config,
    transports: { ssh: nowhere, local: nowhere, 'dial-in': createDialInTransport(1_000), ...options.transports },
    secretBox: await openSecretBox(options.folder),
    localFolder: path.join(options.folder, 'local'),
    agentHash: options.agentHash ?? 'simulated',
    wakeEvents: () => {},
  });
  await registry.start({
    book: options.book,
    services: options.services ?? noServices,
    whenLost: async (worker, reason) => void lost.push({ worker, reason }),
  });
  return {
    ...registry,
    lost,
    whenState: (worker, ...states) =>
      new Promise((resolve, reject) => {
        let isDone = false;
        const look = (): void => {
          if (isDone) return;
          const { state, reason } = worker.row;
          if (states.includes(state)) resolve();
          else if (state === 'blocked') reject(new Error(`${worker.row.name} is blocked: ${JSON.stringify(reason)}`));
          else return;
          isDone = true;
        };
        registry.onChange(look);
        look();
      }),
  };
}

/** Reaches simulated workers: the folder of a local worker names its socket. */
export const socketTransport: WorkerTransport = {
  async connect({ worker }, ears) {
    const socket = connect(worker.address.folder ?? '');
    await once(socket, 'connect').catch((cause: Error) => {
      throw new CodedError('worker.unreachable', cause.message, { cause });
    });
    await ears.onStep('connect');
    return socket;
  },
  uninstall: () => Promise.resolve(),
  addressOf: (worker) => worker.address.folder ?? '',
};
