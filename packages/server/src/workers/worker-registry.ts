import { hostname } from 'node:os';
import { join } from 'node:path';
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
  claimDialIn,
  claimWorkers,
  configureWorker,
  deleteSecret,
  insertWorker,
  listHostKeys,
  listStandings,
  listWorkerNames,
  listWorkers,
  type NewWorker,
  putSecret,
  readSecret,
  revokeHostKey,
  setAdmission,
  setLabels,
  settleLocalWorkers,
  upsertMetrics,
  type WorkerStanding,
} from './worker-sql.ts';
import { type LostReason, type SupervisorContext, WorkerSupervisor } from './worker-supervisor.ts';
import { createWorkspaceAsker } from './workspace-asker.ts';

/** Beats of all workers are written together, this often. */
const METRICS_WINDOW_MS = 1_000;
/** How long uninstalling may take before the worker counts as out of reach. */
const UNINSTALL_WITHIN_MS = 30_000;
/** Jobs of a worker that is removed by force get this long between TERM and KILL. */
const REMOVE_GRACE_MS = 2_000;
/** What another server has cancelled gets this long between TERM and KILL. */
const CANCEL_GRACE_MS = 5_000;
/** Large checkouts are many files to remove. */
const TIDY_WITHIN_MS = 120_000;
const LOCAL_NAME = 'local';
/** How long another server may take over what only it can do for a worker of its own. */
const ROUTED_WITHIN_MS = 10_000;
/** How long another server waits for what was asked of a worker of its own, before it is asked anew. */
const ROUTED_TURN_MS = 10_000;
const ROUTED_REMOVE_WITHIN_MS = UNINSTALL_WITHIN_MS + 15_000;

/** The other servers of the database, as far as workers are concerned. */
export interface OtherServers {
  /** Servers that may hold workers, this one among them. */
  count(): number;
  /** Takes no more workers: it is about to end. */
  isDraining(): boolean;
  isNewerAgent(agent: string): boolean;
  /** Tells all others that something about the workers has changed. */
  tellChange(): void;
  /** There is something in the tables for a server to send to its workers. */
  wake(server: ServerId): void;
  ask(server: ServerId, name: string, args: object, withinMs: number): Promise<unknown>;
  serve(name: string, answer: (args: never) => Promise<unknown>): void;
}

/** What one server asks of the one that holds a worker. */
interface RoutedRequest {
  worker: WorkerId;
}

export interface RegistryOptions {
  db: Db;
  log: Logger;
  serverId: ServerId;
  config: HelixConfig['workers'];
  transports: Record<'ssh' | 'local', WorkerTransport> & { 'dial-in': DialInTransport };
  secretBox: SecretBox;
  /** Holds the home of each local worker that was given none, under its name. */
  localFolder: string;
  /** Absent: there are none. */
  others?: OtherServers | undefined;
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
  /**
   * Looks how the workers stand that other servers hold, and takes those that nobody holds any more, sharing them with the others.
   * @returns whether some that this server may take are left for the next look
   */
  refresh(): Promise<boolean>;
  /** Sends what other servers have written down for workers of this one. */
  sendRouted(): Promise<void>;

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
  takeDialIn(worker: WorkerId, stream: DialInStream, labels: string[] | undefined): Promise<void>;
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

  /** Workers whose links are kept from here, and since when, by `performance.now()`. */
  const held = new Map<WorkerId, number>();
  const { serverId, others } = options;
  const host = hostname();
  const placeOf = (worker: Omit<NewWorker, 'id'>) => ({
    server: serverId,
    host,
    home: worker.address.folder ?? join(options.localFolder, worker.name),
  });
  let isStopped = false;

  const metrics = createBatchWriter<{ worker: WorkerId; load: WorkerLoad; warmProjects: readonly string[] }>({
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
  /** The same of something that other servers should know of too. */
  const changedForAll = (): void => {
    changed();
    others?.tellChange();
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
      changed: changedForAll,
      whenLost,
      isNewerAgent: (agent) => others?.isNewerAgent(agent) ?? false,
      noteBeat: (worker, load, warmProjects) => {
        metrics
          .add({ worker, load, warmProjects })
          .catch((error: unknown) => log.warn({ err: error }, 'beats of workers could not be written'));
      },
    };
    const supervisor = new WorkerSupervisor(row, hostKeys, context);
    supervisors.set(row.id, supervisor);
    names.set(row.id, row.name);
    return supervisor;
  }

  async function insert(worker: NewWorker, password: string | undefined): Promise<WorkerRow> {
    const row = await db.tx(async (tx) => {
      const inserted = await insertWorker(tx, worker, placeOf(worker));
      if (password !== undefined) await putSecret(tx, passwordName(worker.id), secretBox.seal(passwordName(worker.id), password));
      await appendEvents(tx, [{ worker: worker.id, body: { type: 'worker.added', name: worker.name, transport: worker.transport } }]);
      return inserted;
    });
    options.wakeEvents();
    others?.tellChange();
    return row;
  }

  /** Keeps the link to a worker from here. */
  async function take(supervisor: WorkerSupervisor, standing: WorkerStanding, hostKeys: HostKeyRow[], isUnblocked: boolean): Promise<void> {
    held.set(standing.id, performance.now());
    supervisor.hostKeys = hostKeys;
    supervisor.hold({ ...standing, server_id: serverId });
    const { state, reason, server_id: before } = standing;
    if (state === 'blocked' && isUnblocked) await supervisor.move('unblock', reason ?? undefined);
    // Links ended with the server that held them.
    else if (state !== 'new') {
      const why = before === serverId || before === null ? 'the server was started anew' : `server ${before}, which held its link, is gone`;
      await supervisor.move('drop', { code: 'worker.link_lost', message: why });
    }
    supervisor.start();
  }

  /** What was read of a worker before this moment is older than what is known here. */
  function touched({ row }: WorkerSupervisor): void {
    if (held.has(row.id)) held.set(row.id, performance.now());
  }

  /** Another server keeps the link from now on: nothing is written of it here any more. */
  async function giveAway(supervisor: WorkerSupervisor): Promise<void> {
    held.delete(supervisor.row.id);
    await supervisor.stop();
  }

  /** Takes workers that nobody holds, its share of them. @returns whether some are left */
  async function takeFree(free: WorkerStanding[], keys: HostKeyRow[], unblocked: ReadonlySet<string>): Promise<boolean> {
    if (free.length === 0 || others?.isDraining()) return false;
    const reachable: WorkerStanding[] = [];
    for (const row of free)
      if (row.transport !== 'local' || row.home_server === serverId || (await transports.local.mayTakeOver?.(row))) reachable.push(row);
    // Each server begins with others, so that they do not all try the same.
    const share = Math.max(1, Math.ceil(reachable.length / Math.max(1, others?.count() ?? 1)));
    const mine = reachable
      .map((row) => ({ row, rank: row.home_server === serverId ? -1 : Math.random() }))
      .sort((a, b) => a.rank - b.rank)
      .slice(0, share)
      .map(({ row }) => row);
    if (mine.length === 0) return false;
    const claimed = new Set(
      await claimWorkers(
        db,
        mine.map(({ id }) => id),
        serverId,
      ),
    );
    await Promise.all(
      mine
        .filter(({ id }) => claimed.has(id))
        .map((row) => {
          const supervisor = supervisors.get(row.id) ?? supervise(row, []);
          return take(supervisor, row, keysAmong(keys, row.id), unblocked.has(row.name));
        }),
    );
    others?.tellChange();
    return reachable.length > claimed.size;
  }

  async function lookAtAll(unblocked: ReadonlySet<string> = new Set()): Promise<boolean> {
    const beganAtMs = performance.now();
    const [standings, keys] = await Promise.all([listStandings(db), listHostKeys(db)]);
    if (isStopped) return false;
    const free: WorkerStanding[] = [];
    for (const standing of standings) {
      const { id, server_id: holder } = standing;
      const heldSinceMs = held.get(id);
      // It was taken after this was read.
      if (heldSinceMs !== undefined && heldSinceMs >= beganAtMs) continue;
      const supervisor = supervisors.get(id) ?? supervise(standing, []);
      if (holder === serverId) {
        if (heldSinceMs === undefined) await take(supervisor, standing, keysAmong(keys, id), unblocked.has(standing.name));
        else {
          supervisor.takeSettings(standing);
          supervisor.hostKeys = keysAmong(keys, id);
        }
        continue;
      }
      if (heldSinceMs !== undefined) await giveAway(supervisor);
      supervisor.mirror(standing);
      transports[standing.transport].prepare?.();
      supervisor.hostKeys = keysAmong(keys, id);
      if (holder === null || !standing.is_held) free.push(standing);
    }
    const present = new Set(standings.map(({ id }) => id));
    for (const id of supervisors.keys()) if (!present.has(id) && !held.has(id)) supervisors.delete(id);
    const isMoreLeft = await takeFree(free, keys, unblocked);
    changed();
    return isMoreLeft;
  }

  /** The server to ask for what only the holder of a worker can do; `undefined`: this one, which takes it where nobody has it. */
  async function routeOf(supervisor: WorkerSupervisor): Promise<ServerId | undefined> {
    const { id } = supervisor.row;
    if (held.has(id) || !others) return undefined;
    await registry.refresh();
    if (held.has(id)) return undefined;
    const holder = registry.holderOf(id);
    const standing = (await listStandings(db)).find((row) => row.id === id);
    if (standing?.is_held && holder) return holder;
    // Nobody holds it, and this server cannot reach it: it can still be given up from here.
    if (standing && (await claimWorkers(db, [id], serverId)).length > 0) await take(supervisor, standing, supervisor.hostKeys, false);
    return undefined;
  }

  function heldWorker({ worker }: RoutedRequest): WorkerSupervisor {
    const supervisor = supervisors.get(worker);
    if (supervisor && held.has(worker)) return supervisor;
    throw new CodedError('worker.link_lost', `worker ${worker} has gone to another server meanwhile`, { next: 'helix workers list' });
  }

  const reconnectHere = (supervisor: WorkerSupervisor): Promise<void> => supervisor.dialNow();

  /** What was changed in the tables about how a worker is reached is looked at by its holder, which then acts. */
  async function actOn(
    supervisor: WorkerSupervisor,
    name: 'worker.dial' | 'worker.redial',
    why: string,
    act: () => Promise<void> | void,
  ): Promise<void> {
    const holder = await routeOf(supervisor);
    if (holder === undefined) return act();
    await others?.ask(holder, name, { worker: supervisor.row.id, why }, ROUTED_WITHIN_MS);
    await registry.refresh();
  }

  others?.serve('worker.dial', async (request: RoutedRequest) => {
    await registry.refresh();
    await reconnectHere(heldWorker(request));
  });
  others?.serve('worker.redial', async (request: RoutedRequest & { why: string }) => {
    await registry.refresh();
    heldWorker(request).redial(request.why);
  });
  others?.serve('worker.remove', async (request: RoutedRequest & { force: boolean }) => removeHere(heldWorker(request), request.force));

  /** Brings the workers of the configuration into the database. @returns the names of those that it changed */
  async function takeConfiguration(): Promise<Set<string>> {
    const changedNames = new Set<string>();
    await settleLocalWorkers(db, { server: serverId, host }, options.localFolder);
    const rows = new Map((await listWorkers(db)).map((row) => [row.name, row]));
    for (const worker of configuredWorkers(config, localNameAmong(rows, serverId, host))) {
      const row = rows.get(worker.name);
      if (!row) await insert({ id: newId('worker'), ...worker }, undefined);
      // A name means one machine: what another server says of a local worker of its own is for that one to change.
      else if (row.home_server !== null && row.home_server !== serverId)
        log.warn({ worker: row.id, name: row.name }, 'a configured worker is a local one of another server and is left to it');
      else if (!isSame(row, worker)) {
        await configureWorker(db, row.id, worker);
        changedNames.add(worker.name);
      }
    }
    return changedNames;
  }

  const asker = createWorkspaceAsker({
    linkOf: (worker) => (held.has(worker) ? supervisors.get(worker)?.link : undefined),
    holderOf: (worker) => registry.holderOf(worker),
    isHeld: (worker) => held.has(worker),
    isWanted: async (worker, attempt) => (await present().book.wantedJobs(worker)).some((job) => job.attempt === attempt),
    onChange: (listener) => void listeners.push(listener),
    refresh: () => registry.refresh(),
    routedTurnMs: ROUTED_TURN_MS,
    others,
  });

  async function letGo(supervisor: WorkerSupervisor, reason: ErrorFact): Promise<void> {
    const { id } = supervisor.row;
    await supervisor.move('remove', reason);
    supervisors.delete(id);
    held.delete(id);
    await deleteSecret(db, passwordName(id));
    await present().whenLost(id, { code: 'job.lost', message: reason.message }, true);
    changedForAll();
  }

  /** Looks follow each other. */
  let looks: Promise<unknown> = Promise.resolve();

  const namesOf = (): Map<string, WorkerRow> => new Map([...supervisors.values()].map(({ row }) => [row.name, row]));

  const registry: WorkerRegistry = {
    async start(above) {
      links = above;
      const changedNames = await takeConfiguration();
      for (const { id, name } of await listWorkerNames(db)) names.set(id, name);
      await lookAtAll(changedNames);
      if (config.local) return;
      const unwanted = [...supervisors.values()].find(
        ({ row }) => row.transport === 'local' && row.home_server === serverId && row.name === localNameAmong(namesOf(), serverId, host),
      );
      if (unwanted) await registry.remove(unwanted, true);
    },

    refresh() {
      const look = looks.then(() => (isStopped || !links ? false : lookAtAll()));
      looks = look.catch(() => {});
      return look;
    },

    async sendRouted() {
      if (!links || isStopped) return;
      const { assign, cancel } = await links.book.takeRouted(serverId);
      for (const { worker, attempt, spec } of assign) supervisors.get(worker)?.link?.assign(attempt, spec, {});
      for (const { worker, attempt } of cancel) supervisors.get(worker)?.link?.cancel(attempt, CANCEL_GRACE_MS);
    },

    async stop() {
      isStopped = true;
      asker.stop();
      await looks;
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
      return begin(row);
    },

    async enrol({ name, slots, labels, validMs }) {
      const known = [...supervisors.values()].find(({ row }) => row.name === name);
      if (known && known.row.transport !== 'dial-in')
        throw new CodedError('worker.exists', `there is already a worker named ${name}, which the server dials`, {
          next: `helix workers show ${name}`,
        });
      const worker =
        known ??
        begin(await insert({ id: newId('worker'), name, transport: 'dial-in', slots, labels: labels ?? [], address: {} }, undefined));
      if (known && (slots !== undefined || labels)) {
        const { row } = known;
        const as = { transport: row.transport, address: row.address, slots: slots ?? row.slots ?? undefined, labels: labels ?? row.labels };
        known.row = { ...row, slots: as.slots ?? null };
        known.setLabels(as.labels);
        await configureWorker(db, row.id, as);
        touched(known);
        others?.tellChange();
      }
      const token = newSecret(ENROLMENT_TOKEN_PREFIX);
      const expiresAt = await db.tx(async (tx) => {
        await revokeEnrolments(tx, worker.row.id);
        return insertEnrolment(tx, tokenHash(token), worker.row.id, validMs);
      });
      return { worker, token, expiresAt };
    },

    async takeDialIn(id, stream, labels) {
      // It came to this server, whoever had it before.
      if (others && ((await claimDialIn(db, id, serverId)) || !held.has(id))) {
        await registry.refresh();
        others.tellChange();
      }
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
      touched(supervisor);
      options.wakeEvents();
      changedForAll();
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
      if (supervisor.row.state !== 'blocked' || reason?.code.startsWith('worker.host_key'))
        await actOn(supervisor, 'worker.dial', 'a host key was accepted', () => reconnectHere(supervisor));
    },

    async revokeKey(supervisor, fingerprint) {
      const { id, name } = supervisor.row;
      if (!(await revokeHostKey(db, id, fingerprint)))
        throw new CodedError('worker.host_key_unknown', `${name} has not shown a host key ${fingerprint}`, {
          next: `helix workers show ${name}`,
        });
      supervisor.hostKeys = await keysOf(id);
      // Whether the link relies on it is for ssh to find out.
      const why = `the host key ${fingerprint} was revoked`;
      await actOn(supervisor, 'worker.redial', why, () => supervisor.redial(why));
    },

    async reconnect(supervisor, password) {
      const name = passwordName(supervisor.row.id);
      if (password !== undefined) await putSecret(db, name, secretBox.seal(name, password));
      await actOn(supervisor, 'worker.dial', 'somebody asked for it', () => reconnectHere(supervisor));
    },

    async remove(supervisor, force) {
      const holder = await routeOf(supervisor);
      if (holder === undefined) return removeHere(supervisor, force);
      const { id } = supervisor.row;
      const isUninstalled = await others?.ask(holder, 'worker.remove', { worker: id, force }, ROUTED_REMOVE_WITHIN_MS);
      await registry.refresh();
      return isUninstalled === true;
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
    isConnected: (id) => supervisors.get(id)?.isConnected ?? false,
    holderOf: (id) => (held.has(id) ? undefined : (supervisors.get(id)?.row.server_id ?? undefined)),

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
    assign(worker, attempt, spec, secrets) {
      const holder = registry.holderOf(worker);
      if (holder) others?.wake(holder);
      else supervisors.get(worker)?.link?.assign(attempt, spec, secrets);
    },
    cancel(worker, attempt, graceMs) {
      const holder = registry.holderOf(worker);
      if (holder) others?.wake(holder);
      else supervisors.get(worker)?.link?.cancel(attempt, graceMs);
    },
    work: (worker, attempt, op, signal) => asker.ask(worker, attempt, op, signal),
    silentMs: (worker) => supervisors.get(worker)?.silentMs ?? 0,
    checkpoint: (worker, attempt, order) => supervisors.get(worker)?.link?.checkpoint(attempt, order),
    onChange: (listener) => void listeners.push(listener),
  };
  return registry;

  /** Keeps the link to a worker that was just added. */
  function begin(row: WorkerRow): WorkerSupervisor {
    const known = supervisors.get(row.id);
    if (known && held.has(row.id)) return known;
    const supervisor = supervise(row, []);
    held.set(row.id, performance.now());
    supervisor.start();
    return supervisor;
  }

  async function removeHere(supervisor: WorkerSupervisor, force: boolean): Promise<boolean> {
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
  }

  async function keysOf(worker: WorkerId): Promise<HostKeyRow[]> {
    return (await listHostKeys(db)).filter((key) => key.worker_id === worker);
  }
}

function passwordName(worker: WorkerId): string {
  return `worker:${worker}:password`;
}

/** What the worker on the server's own machine is called: each server has one, and a name means one worker. */
function localNameAmong(rows: ReadonlyMap<string, WorkerRow>, server: ServerId, host: string): string {
  const candidates = [LOCAL_NAME, `${LOCAL_NAME}-${host}`.slice(0, 63), `${LOCAL_NAME}-${server.slice(-9)}`];
  const isMine = (name: string): boolean => rows.get(name)?.transport === 'local' && rows.get(name)?.home_server === server;
  return candidates.find(isMine) ?? candidates.find((name) => !rows.has(name)) ?? LOCAL_NAME;
}

function keysAmong(keys: readonly HostKeyRow[], worker: WorkerId): HostKeyRow[] {
  return keys.filter((key) => key.worker_id === worker);
}

function configuredWorkers(config: HelixConfig['workers'], localName: string): Omit<NewWorker, 'id'>[] {
  const dialled = config.pool.map(({ name, transport, slots, labels, ...address }) => ({
    name,
    transport,
    slots,
    labels,
    address: defined(address),
  }));
  const isNamed = dialled.some(({ name }) => name === LOCAL_NAME);
  if (!config.local || isNamed) return dialled;
  return [{ name: localName, transport: 'local', slots: config.localSlots, labels: [], address: {} }, ...dialled];
}

function isSame(row: WorkerRow, worker: Omit<NewWorker, 'id'>): boolean {
  const shape = ({ transport, slots, labels, address }: Omit<NewWorker, 'id' | 'name'>): string =>
    JSON.stringify([transport, slots ?? null, labels, Object.entries(address).sort()]);
  return shape({ ...row, slots: row.slots ?? undefined }) === shape(worker);
}

function defined(address: { [Key in keyof WorkerAddress]: WorkerAddress[Key] | undefined }): WorkerAddress {
  return Object.fromEntries(Object.entries(address).filter(([, value]) => value !== undefined));
}
