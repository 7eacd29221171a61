import type { HelixConfig, WorkerConfig } from '@helixcode/protocol/config/helix-config';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { newId, type ServerId, type WorkerId } from '@helixcode/protocol/ids';
import type { WorkerLoad } from '@helixcode/protocol/worker/capabilities';
import { ENROLMENT_TOKEN_PREFIX } from '@helixcode/protocol/worker/dial-in';
import type { Tidied, TidyLimits } from '@helixcode/protocol/worker/tidy';
import type { WorkerAdmission } from '@helixcode/protocol/worker/worker-state';
import type { Logger } from 'pino';
import type { SecretBox } from '../auth/secret-box.ts';
import { newSecret, tokenHash } from '../auth/token.ts';
import { createBatchWriter } from '../db/batch-writer.ts';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import { createDialGate } from './dial-gate.ts';
import { insertEnrolment, revokeEnrolments } from './enrolment-sql.ts';
import type { JobBook, WorkerServices } from './job-book.ts';
import { createOutputWriter } from './output-writer.ts';
import type { DialInStream, DialInTransport } from './transports/dial-in-transport.ts';
import type { WorkerTransport } from './transports/worker-transport.ts';
import type { PoolWorker, WorkerPool } from './worker-pool.ts';
import type { HostKeyRow, WorkerAddress, WorkerRow } from './worker-row.ts';
import {
  acceptHostKey,
  configureWorker,
  deleteSecret,
  insertWorker,
  listHostKeys,
  listMetrics,
  listWorkerNames,
  listWorkers,
  type NewWorker,
  putSecret,
  readSecret,
  revokeHostKey,
  setAdmission,
  setLabels,
  upsertMetrics,
} from './worker-sql.ts';
import { type LostReason, type SupervisorContext, WorkerSupervisor } from './worker-supervisor.ts';

/** Beats of all workers are written together, this often. */
const METRICS_WINDOW_MS = 1_000;
/** How long uninstalling may take before the worker counts as out of reach. */
const UNINSTALL_WITHIN_MS = 30_000;
/** Jobs of a worker that is removed by force get this long between TERM and KILL. */
const REMOVE_GRACE_MS = 2_000;
/** Large checkouts are many files to remove. */
const TIDY_WITHIN_MS = 120_000;
const LOCAL_NAME = 'local';

export interface RegistryOptions {
  db: Db;
  log: Logger;
  serverId: ServerId;
  config: HelixConfig['workers'];
  transports: Record<'ssh' | 'local', WorkerTransport> & { 'dial-in': DialInTransport };
  secretBox: SecretBox;
  /** Hash of the agent that workers should run. */
  agentHash: string;
  /** A transaction with events was committed. */
  wakeEvents(): void;
}

/** What lies above the workers and is told of them; known only after the registry is made. */
export interface RegistryLinks {
  book: JobBook;
  services: WorkerServices;
  /** The worker was silent for too long, or was removed: then its jobs will not be waited for any longer. */
  whenLost(worker: WorkerId, reason: LostReason, isRemoved: boolean): Promise<void>;
}

export interface NewWorkerRequest extends WorkerConfig {
  password?: string | undefined;
  acceptFingerprint?: string | undefined;
}

/** A machine that shall come by itself. */
export interface EnrolmentRequest {
  name: string;
  /** Absent: as they were, for a worker that exists. */
  slots?: number | undefined;
  labels?: string[] | undefined;
  validMs: number;
}

export interface Enrolment {
  worker: WorkerSupervisor;
  /** Known to nobody but the one who is given it here. */
  token: string;
  expiresAt: Date;
}

/** All workers of this server, and the link to each. */
export interface WorkerRegistry extends WorkerPool {
  /** Loads the workers, adds those of the configuration, and begins to dial. */
  start(links: RegistryLinks): Promise<void>;
  /** Closes all links; daemons and jobs go on. */
  stop(): Promise<void>;

  add(request: NewWorkerRequest): Promise<WorkerSupervisor>;
  /**
   * Lets one machine join under that name; the token that was made for it before is good no more.
   * @throws CodedError `worker.exists` when a worker that the server dials has the name
   */
  enrol(request: EnrolmentRequest): Promise<Enrolment>;
  /**
   * A worker has connected by itself.
   * @param labels what its operator vouches for on the machine; absent: what the server has
   */
  takeDialIn(worker: WorkerId, stream: DialInStream, labels: string[] | undefined): void;
  /** @throws CodedError `worker.not_found` */
  find(idOrName: string): WorkerSupervisor;
  all(): WorkerSupervisor[];
  addressOf(worker: WorkerRow): string;
  setAdmission(worker: WorkerSupervisor, admission: WorkerAdmission): Promise<void>;
  acceptKey(worker: WorkerSupervisor, fingerprint: string): Promise<void>;
  revokeKey(worker: WorkerSupervisor, fingerprint: string): Promise<void>;
  reconnect(worker: WorkerSupervisor, password: string | undefined): Promise<void>;
  /** @returns whether what was installed there is gone */
  remove(worker: WorkerSupervisor, force: boolean): Promise<boolean>;

  /**
   * Lets every worker with a link remove what it keeps beyond the limits; one that does not answer in time is left out.
   * @returns by worker's name
   */
  tidy(limits: TidyLimits, dryRun: boolean): Promise<{ worker: string; items: Tidied[] }[]>;

  /** Also of workers that were removed. */
  nameOfWorker(id: WorkerId): string;
  isConnected(id: WorkerId): boolean;
}

export function createWorkerRegistry(options: RegistryOptions): WorkerRegistry {
  const { db, log, config, transports, secretBox } = options;
  const supervisors = new Map<WorkerId, WorkerSupervisor>();
  const names = new Map<WorkerId, string>();
  const listeners: (() => void)[] = [];
  const gate = createDialGate(config.dialAtOnce);
  let links: RegistryLinks | undefined;
  let output: ReturnType<typeof createOutputWriter> | undefined;

  const metrics = createBatchWriter<{ worker: WorkerId; load: WorkerLoad }>({
    windowMs: METRICS_WINDOW_MS,
    maxItems: 1_000,
    flush: (beats) => upsertMetrics(db, [...new Map(beats.map((beat) => [beat.worker, beat])).values()]),
  });

  let isChangeTold = true;
  const changed = (): void => {
    if (!isChangeTold) return;
    isChangeTold = false;
    setImmediate(() => {
      isChangeTold = true;
      for (const listener of listeners) listener();
    });
  };

  const passwordOf = async (worker: WorkerRow): Promise<string | undefined> => {
    const { passwordEnv } = worker.address;
    if (passwordEnv !== undefined) {
      const password = process.env[passwordEnv];
      if (password !== undefined && password !== '') return password;
      throw new CodedError(
        'config.invalid',
        `worker ${worker.name} takes its password from $${passwordEnv}, which the server does not have`,
        {
          next: `start the server with ${passwordEnv} set`,
        },
      );
    }
    const name = passwordName(worker.id);
    const sealed = await readSecret(db, name);
    return sealed && secretBox.open(name, sealed);
  };

  const present = (): RegistryLinks => {
    if (!links) throw new Error('the registry of workers has not been started');
    return links;
  };

  function supervise(row: WorkerRow, hostKeys: HostKeyRow[]): WorkerSupervisor {
    const { book, services, whenLost } = present();
    const context: SupervisorContext = {
      db,
      log,
      serverId: options.serverId,
      transport: transports[row.transport],
      gate,
      book,
      services,
      output: (output ??= createOutputWriter(book)),
      heartbeatMs: config.heartbeatMs,
      lostAfterMs: config.lostAfterMs,
      agentHash: options.agentHash,
      passwordOf,
      wakeEvents: options.wakeEvents,
      changed,
      whenLost,
      noteBeat: (worker, load) => {
        metrics.add({ worker, load }).catch((error: unknown) => log.warn({ err: error }, 'beats of workers could not be written'));
      },
    };
    const supervisor = new WorkerSupervisor(row, hostKeys, context);
    supervisors.set(row.id, supervisor);
    names.set(row.id, row.name);
    return supervisor;
  }

  async function insert(worker: NewWorker, password: string | undefined): Promise<WorkerRow> {
    const row = await db.tx(async (tx) => {
      const inserted = await insertWorker(tx, worker);
      if (password !== undefined) await putSecret(tx, passwordName(worker.id), secretBox.seal(passwordName(worker.id), password));
      await appendEvents(tx, [{ worker: worker.id, body: { type: 'worker.added', name: worker.name, transport: worker.transport } }]);
      return inserted;
    });
    options.wakeEvents();
    return row;
  }

  /** Brings the workers of the configuration into the database. @returns the names of those that it changed */
  async function takeConfiguration(): Promise<Set<string>> {
    const changedNames = new Set<string>();
    const rows = new Map((await listWorkers(db)).map((row) => [row.name, row]));
    for (const worker of configuredWorkers(config)) {
      const row = rows.get(worker.name);
      if (!row) await insert({ id: newId('worker'), ...worker }, undefined);
      else if (!isSame(row, worker)) {
        await configureWorker(db, row.id, worker);
        changedNames.add(worker.name);
      }
    }
    return changedNames;
  }

  async function letGo(supervisor: WorkerSupervisor, reason: ErrorFact): Promise<void> {
    const { id } = supervisor.row;
    await supervisor.move('remove', reason);
    supervisors.delete(id);
    await deleteSecret(db, passwordName(id));
    await present().whenLost(id, { code: 'job.lost', message: reason.message }, true);
    changed();
  }

  const registry: WorkerRegistry = {
    async start(above) {
      links = above;
      const changedNames = await takeConfiguration();
      const [rows, keys, beats, known] = await Promise.all([listWorkers(db), listHostKeys(db), listMetrics(db), listWorkerNames(db)]);
      for (const { id, name } of known) names.set(id, name);
      for (const row of rows) {
        const supervisor = supervise(
          row,
          keys.filter((key) => key.worker_id === row.id),
        );
        const beat = beats.find(({ worker_id }) => worker_id === row.id);
        supervisor.load = beat?.load;
        supervisor.lastSeenAt = beat?.seen_at;
      }
      for (const supervisor of supervisors.values()) {
        const { row } = supervisor;
        if (row.transport === 'local' && row.name === LOCAL_NAME && !config.local) {
          await registry.remove(supervisor, true);
          continue;
        }
        // Links ended with the server that held them.
        if (row.state === 'blocked' && changedNames.has(row.name)) await supervisor.move('unblock', row.reason ?? undefined);
        else if (row.state !== 'new') await supervisor.move('drop', { code: 'worker.link_lost', message: 'the server was started anew' });
        supervisor.start();
      }
    },

    async stop() {
      await Promise.all([...supervisors.values()].map((supervisor) => supervisor.stop()));
      await output?.drain();
      await metrics.drain();
    },

    async add({ name, transport, slots, labels, password, ...address }) {
      if (transport === 'ssh' && address.host === undefined)
        throw new CodedError('api.bad_request', `worker ${name} has no host`, { next: `helix workers add ${name} user@host` });
      if (password !== undefined && address.passwordEnv !== undefined)
        throw new CodedError('api.bad_request', `worker ${name} has a password and the name of a variable with one`, {
          next: 'give one of them',
        });
      const row = await insert({ id: newId('worker'), name, transport, slots, labels, address: defined(address) }, password);
      const supervisor = supervise(row, []);
      supervisor.start();
      return supervisor;
    },

    async enrol({ name, slots, labels, validMs }) {
      const known = [...supervisors.values()].find(({ row }) => row.name === name);
      if (known && known.row.transport !== 'dial-in')
        throw new CodedError('worker.exists', `there is already a worker named ${name}, which the server dials`, {
          next: `helix workers show ${name}`,
        });
      const worker =
        known ??
        supervise(
          await insert({ id: newId('worker'), name, transport: 'dial-in', slots, labels: labels ?? [], address: {} }, undefined),
          [],
        );
      if (known && (slots !== undefined || labels)) {
        const { row } = known;
        const as = { transport: row.transport, address: row.address, slots: slots ?? row.slots ?? undefined, labels: labels ?? row.labels };
        known.row = { ...row, slots: as.slots ?? null };
        known.setLabels(as.labels);
        await configureWorker(db, row.id, as);
      }
      if (!known) worker.start();
      const token = newSecret(ENROLMENT_TOKEN_PREFIX);
      const expiresAt = await db.tx(async (tx) => {
        await revokeEnrolments(tx, worker.row.id);
        return insertEnrolment(tx, tokenHash(token), worker.row.id, validMs);
      });
      return { worker, token, expiresAt };
    },

    takeDialIn(id, stream, labels) {
      const supervisor = supervisors.get(id);
      if (supervisor && labels && labels.join() !== supervisor.row.labels.join()) {
        supervisor.setLabels(labels);
        setLabels(db, id, labels).catch((error: unknown) =>
          log.warn({ err: error, worker: id }, 'the labels of a worker could not be written'),
        );
      }
      // Before the old link goes: whoever takes its end then finds the new one.
      transports['dial-in'].offer(id, stream);
      supervisor?.takeDialIn();
    },

    find(idOrName) {
      const byId = supervisors.get(idOrName as WorkerId);
      if (byId) return byId;
      for (const supervisor of supervisors.values()) if (supervisor.row.name === idOrName) return supervisor;
      throw new CodedError('worker.not_found', `there is no worker ${idOrName}`, { next: 'helix workers list' });
    },

    all: () => [...supervisors.values()],
    addressOf: (worker) => transports[worker.transport].addressOf(worker),

    async setAdmission(supervisor, admission) {
      const isNew = await db.tx(async (tx) => {
        const isChanged = await setAdmission(tx, supervisor.row.id, admission);
        if (isChanged) await appendEvents(tx, [{ worker: supervisor.row.id, body: { type: 'worker.admission', to: admission } }]);
        return isChanged;
      });
      if (!isNew) return;
      supervisor.row = { ...supervisor.row, admission };
      options.wakeEvents();
      changed();
    },

    async acceptKey(supervisor, fingerprint) {
      const { id, name, reason } = supervisor.row;
      if (supervisor.hostKeys.some((key) => key.fingerprint === fingerprint && key.revoked_at !== null))
        throw new CodedError('worker.host_key_revoked', `the host key ${fingerprint} of ${name} was revoked and is not trusted again`, {
          next: `helix workers show ${name}`,
        });
      if (!(await acceptHostKey(db, id, fingerprint)))
        throw new CodedError('worker.host_key_unknown', `${name} has not shown a host key ${fingerprint}`, {
          next: `helix workers show ${name}`,
        });
      supervisor.hostKeys = await keysOf(id);
      if (supervisor.row.state !== 'blocked' || reason?.code.startsWith('worker.host_key')) await supervisor.dialNow();
    },

    async revokeKey(supervisor, fingerprint) {
      const { id, name } = supervisor.row;
      if (!(await revokeHostKey(db, id, fingerprint)))
        throw new CodedError('worker.host_key_unknown', `${name} has not shown a host key ${fingerprint}`, {
          next: `helix workers show ${name}`,
        });
      supervisor.hostKeys = await keysOf(id);
      // Whether the link relies on it is for ssh to find out.
      supervisor.redial(`the host key ${fingerprint} was revoked`);
    },

    async reconnect(supervisor, password) {
      const name = passwordName(supervisor.row.id);
      if (password !== undefined) await putSecret(db, name, secretBox.seal(name, password));
      await supervisor.dialNow();
    },

    async remove(supervisor, force) {
      const { row } = supervisor;
      const jobs = await present().book.wantedJobs(row.id);
      if (jobs.length > 0 && !force)
        throw new CodedError('worker.busy', `${row.name} still has ${jobs.length} ${jobs.length === 1 ? 'job' : 'jobs'}`, {
          next: `helix workers drain ${row.name}, or \`helix workers remove ${row.name} --force\``,
        });
      for (const { attempt } of jobs) supervisor.link?.cancel(attempt, REMOVE_GRACE_MS);
      // What was cancelled needs its daemon until it is dead.
      if (jobs.length > 0 && supervisor.link) await new Promise((resolve) => setTimeout(resolve, REMOVE_GRACE_MS + 500));
      const transport = transports[row.transport];
      if (!transport.isAwaited) await supervisor.stop();
      let isUninstalled = true;
      try {
        const target = { worker: row, password: await passwordOf(row), hostKeys: supervisor.hostKeys };
        await transport.uninstall(target, AbortSignal.timeout(UNINSTALL_WITHIN_MS));
      } catch (error) {
        if (!force) {
          if (!transport.isAwaited) {
            if (row.state === 'up' || row.state === 'degraded')
              await supervisor.move('drop', { code: 'worker.link_lost', message: 'removing it failed' });
            supervisor.start();
          }
          throw new CodedError(
            'worker.unreachable',
            `${row.name} could not be cleaned up: ${error instanceof Error ? error.message : String(error)}`,
            {
              next: `helix workers remove ${row.name} --force`,
              cause: error,
            },
          );
        }
        isUninstalled = false;
        log.warn({ err: error, worker: row.id }, 'a worker was removed without being cleaned up');
      }
      await supervisor.stop();
      await letGo(supervisor, { code: 'worker.not_found', message: `worker ${row.name} was removed` });
      return isUninstalled;
    },

    async tidy(limits, dryRun) {
      const answers = await Promise.all(
        [...supervisors.values()].flatMap(({ row, link }) => {
          if (!link) return [];
          const { promise: tooLate, reject } = Promise.withResolvers<never>();
          const timer = setTimeout(() => reject(new Error(`${row.name} did not answer within ${TIDY_WITHIN_MS} ms`)), TIDY_WITHIN_MS);
          return Promise.race([link.tidy(limits, dryRun), tooLate])
            .then((items) => [{ worker: row.name, items }])
            .catch((error: unknown) => {
              log.warn({ err: error, worker: row.id }, 'a worker was not tidied');
              return [];
            })
            .finally(() => clearTimeout(timer));
        }),
      );
      return answers.flat();
    },

    nameOfWorker: (id) => names.get(id) ?? id,
    isConnected: (id) => supervisors.get(id)?.link !== undefined,

    workers: () =>
      [...supervisors.values()].map(
        ({ row, slots, labels, load, warmProjects }): PoolWorker => ({
          id: row.id,
          name: row.name,
          state: row.state,
          admission: row.admission,
          slots,
          labels,
          load,
          warmProjects,
        }),
      ),
    assign: (worker, attempt, spec, secrets) => supervisors.get(worker)?.link?.assign(attempt, spec, secrets),
    cancel: (worker, attempt, graceMs) => supervisors.get(worker)?.link?.cancel(attempt, graceMs),
    silentMs: (worker) => supervisors.get(worker)?.silentMs ?? 0,
    checkpoint(worker, attempt, request, limits) {
      const link = supervisors.get(worker)?.link;
      link?.checkpoint(attempt, request, limits);
      return link !== undefined;
    },
    onChange: (listener) => void listeners.push(listener),
  };
  return registry;

  async function keysOf(worker: WorkerId): Promise<HostKeyRow[]> {
    return (await listHostKeys(db)).filter((key) => key.worker_id === worker);
  }
}

function passwordName(worker: WorkerId): string {
  return `worker:${worker}:password`;
}

function configuredWorkers(config: HelixConfig['workers']): Omit<NewWorker, 'id'>[] {
  const dialled = config.pool.map(({ name, transport, slots, labels, ...address }) => ({
    name,
    transport,
    slots,
    labels,
    address: defined(address),
  }));
  const isNamed = dialled.some(({ name }) => name === LOCAL_NAME);
  if (!config.local || isNamed) return dialled;
  return [{ name: LOCAL_NAME, transport: 'local', slots: config.localSlots, labels: [], address: {} }, ...dialled];
}

function isSame(row: WorkerRow, worker: Omit<NewWorker, 'id'>): boolean {
  const shape = ({ transport, slots, labels, address }: Omit<NewWorker, 'id' | 'name'>): string =>
    JSON.stringify([transport, slots ?? null, labels, Object.entries(address).sort()]);
  return shape({ ...row, slots: row.slots ?? undefined }) === shape(worker);
}

function defined(address: { [Key in keyof WorkerAddress]: WorkerAddress[Key] | undefined }): WorkerAddress {
  return Object.fromEntries(Object.entries(address).filter(([, value]) => value !== undefined));
}
