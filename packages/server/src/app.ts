import { mkdir } from 'node:fs/promises';
import path, { join } from 'node:path';
import { REAL_SURROUNDINGS } from '@helixcode/llm/resilience/resilient-caller';
import { CodedError } from '@helixcode/protocol/errors';
import type { Logger } from 'pino';
import type { AgentDeps } from './agents/agent-deps.ts';
import { createAgents } from './agents/drive-agents.ts';
import { sessionHandlers } from './agents/session-handlers.ts';
import { createAuthenticate } from './auth/authenticate.ts';
import { ensureOwnerToken } from './auth/owner-token.ts';
import { openSecretBox } from './auth/secret-box.ts';
import { backupHandlers } from './backup/backup-handlers.ts';
import type { ServerConfig } from './config.ts';
import { openDb } from './db/db.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded-postgres.ts';
import { createNotifier, openListener } from './db/listen.ts';
import { migrate } from './db/migrate.ts';
import { type DriverArchive, type DurableEngine, openDurableEngine } from './engine/durable-engine.ts';
import { eventHandlers } from './events/event-handlers.ts';
import { createEventTail } from './events/event-tail.ts';
import { agreeWithFleet } from './fleet/agree.ts';
import { joinFleet } from './fleet/fleet.ts';
import { listLeases } from './fleet/lease-sql.ts';
import { createHttpServer } from './http/http-server.ts';
import { watchLoopDelay } from './loop-delay.ts';
import { machinesOf } from './machines.ts';
import { mergeHandlers } from './merge/merge-handlers.ts';
import { createMergeQueues } from './merge/merge-queues.ts';
import { createSuiteVerification } from './merge/verify-by-suite.ts';
import { verifyWhereTested } from './merge/verify-where-tested.ts';
import { createModelGateway } from './models/model-gateway.ts';
import { modelHandlers } from './models/model-handlers.ts';
import { createModelProviders } from './models/model-providers.ts';
import { watchOpenRequests } from './models/open-requests.ts';
import { usageHandlers } from './models/usage-handlers.ts';
import { openOtherServers } from './other-servers.ts';
import { createBlobStore } from './projects/blob-store.ts';
import { createCheckpointRefs } from './projects/checkpoint-refs.ts';
import { createCommitFiles } from './projects/commit-files.ts';
import { treeOfCommit } from './projects/commit-tree.ts';
import { createMirrors } from './projects/mirror.ts';
import { createProjectHandlers } from './projects/project-handlers.ts';
import { createUploadPack } from './projects/upload-pack.ts';
import { openNotary } from './receipts/notary.ts';
import { receiptHandlers } from './receipts/receipt-handlers.ts';
import { openSigningKey } from './receipts/signing-key.ts';
import { startRetention } from './retention/retention-loop.ts';
import { DAY_MS } from './retention/sweep.ts';
import { serverHandlers } from './server-handlers.ts';
import { readServerId } from './server-identity.ts';
import { openAttemptBook } from './tasks/attempt-book.ts';
import { type CheckpointRequest, createCheckpoints } from './tasks/checkpoints.ts';
import { startTaskEngine } from './tasks/task-engine.ts';
import { taskHandlers } from './tasks/task-handlers.ts';
import { codingTrials } from './trials/coding-trials.ts';
import { createCommandRunner } from './trials/run-on-worker.ts';
import { buildAgentBundle } from './workers/bootstrap/agent-bundle.ts';
import { openDialInDoor } from './workers/dial-in-door.ts';
import { openWorkspace } from './workers/remote-workspace.ts';
import { createDialInTransport } from './workers/transports/dial-in-transport.ts';
import { createLocalTransport } from './workers/transports/local-transport.ts';
import { createSshTransport } from './workers/transports/ssh-transport.ts';
import { workerHandlers } from './workers/worker-handlers.ts';
import { createWorkerRegistry } from './workers/worker-registry.ts';
import { freeWorkers } from './workers/worker-sql.ts';

/** How often a PostgreSQL of our own is looked after. */
const DATABASE_CHECK_MS = 1_000;

/** How often it is looked whether a worker that should dial in has been silent for too long. */
const DIAL_IN_PATIENCE_MS = 5_000;

export interface App {
  url: string;
  /** Ends in order: no more requests, links closed (jobs go on), the database stopped if it is ours. */
  close(): Promise<void>;
}

export interface AppOptions {
  config: ServerConfig;
  version: string;
  log: Logger;
  /** Another server has taken over from this one: nothing it still does is written, and it must be started anew. */
  onLost(): void;
}

/** Puts the server together and starts it. Returns when the API answers; workers are dialled meanwhile. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, dataFolder } = options.config;
  const postgres = config.database.url === undefined ? startEmbeddedPostgres(join(dataFolder, 'postgres')) : undefined;
  try {
    return await startOn(postgres, options);
  } catch (error) {
    // Of a server that could not start nothing stays behind: its database would run for nobody.
    await postgres?.then((started) => started.stop()).catch(() => {});
    throw error;
  }
}

async function startOn(starting: Promise<EmbeddedPostgres> | undefined, { config, version, log, onLost }: AppOptions): Promise<App> {
  const { dataFolder } = config;
  const settings = config.config;
  const startedAt = new Date();
  const postgresFolder = join(dataFolder, 'postgres');

  const [bundle, postgres, secretBox] = await Promise.all([buildAgentBundle(), starting, openSecretBox(dataFolder)]);
  const databaseUrl = settings.database.url ?? postgres?.url ?? '';
  const applied = await migrate(databaseUrl);
  if (applied.length > 0) log.info({ applied }, 'migrated the database');

  const serverId = readServerId(dataFolder);
  const { storageFolder: sharedFolder } = settings.global;
  if (sharedFolder !== undefined && postgres)
    throw new CodedError('config.invalid', 'global.storageFolder is for servers that share a database, and this one has its own', {
      next: 'set database.url (or DATABASE_URL), or leave global.storageFolder out',
    });
  const storageFolder = sharedFolder === undefined ? dataFolder : path.resolve(dataFolder, sharedFolder);
  await mkdir(storageFolder, { recursive: true, mode: 0o700 });
  if (!postgres) await agreeWithFleet({ databaseUrl, serverId, secretBox, dataFolder, storageFolder });
  const fleet = await joinFleet({ databaseUrl, serverId, version, agentHash: bundle.hash, isShared: !postgres, log, onLost });
  const { session } = fleet;
  const db = openDb(databaseUrl, { maxConnections: settings.database.poolSize, session });
  await ensureOwnerToken(db, dataFolder);
  // A database of our own has no other server to hear from.
  const others = postgres ? undefined : { listener: openListener(databaseUrl), notifier: createNotifier(db) };
  const servers = others && openOtherServers({ db, fleet, log, version, ...others });
  const tail = createEventTail({ db, log, ...others });
  const mirrors = createMirrors(join(storageFolder, 'repos'), { owner: serverId });
  const notary = await openNotary({
    db,
    log,
    server: serverId,
    key: await openSigningKey(storageFolder),
    treeOf: (project, commit) => treeOfCommit(mirrors, project, commit),
  });
  const wakeEvents = (): void => {
    tail.wake();
    notary.wake();
  };

  const projectFiles = createCommitFiles(mirrors);
  const blobs = createBlobStore({ folder: join(storageFolder, 'blobs'), owner: serverId });

  const registry = createWorkerRegistry({
    db,
    log,
    serverId,
    secretBox,
    others: servers,
    localFolder: join(dataFolder, 'local'),
    wakeEvents,
    config: settings.workers,
    agentHash: bundle.hash,
    transports: {
      'dial-in': createDialInTransport(Math.min(DIAL_IN_PATIENCE_MS, settings.workers.lostAfterMs)),
      local: createLocalTransport({ bundle, folder: join(dataFolder, 'local') }),
      ssh: createSshTransport({
        bundle,
        folder: await folderIn(dataFolder, 'ssh'),
        partsFolder: await folderIn(dataFolder, 'parts'),
        userSshConfig: settings.workers.userSshConfig,
      }),
    },
  });

  const openEngine = Promise.withResolvers<DurableEngine & DriverArchive>();
  openEngine.promise.catch(() => {});
  const tasks = startTaskEngine({
    db,
    serverId,
    isFirst: fleet.isFirst,
    log,
    wakeEvents,
    projectFiles,
    pool: registry,
    outputLimitBytes: settings.logs.outputLimitBytes,
    lostAfterMs: settings.workers.lostAfterMs,
    nameOfWorker: registry.nameOfWorker,
    engine: openEngine.promise,
    driveAgent: (task) => agents.drive(task),
  });
  const { context, startDriver } = tasks;
  const checkpoints = createCheckpoints({
    ...context,
    refs: createCheckpointRefs(mirrors),
    ...(servers && { ask: (server, request, withinMs) => servers.ask(server, 'checkpoint.take', request, withinMs) }),
  });
  servers?.serve('checkpoint.take', (request: CheckpointRequest) => checkpoints.takeOfAttempt(request));
  const book = openAttemptBook({ ...context, nameOfWorker: registry.nameOfWorker });

  const suites = createSuiteVerification({ ...context, startDriver, tail, notary, isFirst: fleet.isFirst });
  const merges = createMergeQueues({
    db,
    mirrors,
    log,
    verify: verifyWhereTested(projectFiles, suites.verify),
    wakeEvents,
    wakeDriver: context.wakeDriver,
    isFirst: fleet.isFirst,
  });

  const sweeps = startRetention({
    db,
    log,
    mirrors,
    blobs,
    retention: settings.retention,
    engine: openEngine.promise,
    workers: registry,
  });

  const openRequests = await watchOpenRequests({ db, log, server: serverId });
  const providers = createModelProviders(
    settings.providers,
    process.env,
    config.file === undefined ? process.cwd() : path.dirname(config.file),
  );
  const gateway = createModelGateway({
    db,
    log,
    providers,
    server: serverId,
    config: settings.providers,
    open: openRequests,
    surroundings: REAL_SURROUNDINGS,
  });

  let url = '';
  const agentDeps: AgentDeps = {
    ...context,
    startDriver,
    tail,
    gateway,
    providers,
    notary,
    checkpoints,
    merges,
    mirrors,
    policy: settings.tools.agent,
    ownAddress: () => new URL(url).host,
    projectFiles,
    treeOf: (project, commit) => treeOfCommit(mirrors, project, commit),
    openSeat: (seat, signal) => openWorkspace(registry, seat, signal),
  };
  const agents = createAgents(agentDeps);
  const commands = createCommandRunner({ ...context, startDriver, tail });

  const loopDelay = watchLoopDelay();
  const http = createHttpServer({
    log,
    version,
    tail,
    authenticate: createAuthenticate(db),
    machineDoor: await openDialInDoor({
      db,
      registry,
      bundle,
      heartbeatMs: settings.workers.heartbeatMs,
      isNewerAgent: (agent) => servers?.isNewerAgent(agent) ?? false,
    }),
    host: settings.clients.host,
    handlers: {
      ...serverHandlers({
        db,
        config,
        loopDelay,
        pool: registry,
        facts: { id: serverId, version, url: () => url, startedAt, database: postgres ? 'embedded' : 'external' },
      }),
      ...workerHandlers({ db, registry }),
      ...sweeps.handlers,
      ...backupHandlers({ databaseUrl: postgres?.url, dataFolder, mirrors, version, log }),
      ...createProjectHandlers({ db, mirrors, wakeEvents, snapshotKeepMs: settings.retention.snapshotDays * DAY_MS }),
      ...taskHandlers({
        ...context,
        workers: registry,
        isDraining: fleet.isDraining,
        startDriver,
        checkpoints,
        lostAfterMs: settings.workers.lostAfterMs,
        nameOfWorker: registry.nameOfWorker,
        openBlob: async (key) => (await blobs.open(key))?.content,
      }),
      ...mergeHandlers({ db }),
      ...modelHandlers({
        providers,
        gateway,
        config: settings.providers,
        codingTrials: (user) => codingTrials(commands, user),
        machines: () => machinesOf(registry),
      }),
      ...receiptHandlers({ db, notary }),
      ...usageHandlers({ db, config: settings.providers }),
      ...sessionHandlers({ ...agentDeps, nameOfWorker: registry.nameOfWorker }),
      ...eventHandlers(tail),
    },
  });
  url = await http.listen(settings.clients.port);
  await fleet.announce(url);

  const engine = openDurableEngine({ databaseUrl, serverId, session, log, turn: (driver) => tasks.turn(driver) });
  engine.then(openEngine.resolve, openEngine.reject);
  await registry.start({
    book,
    services: {
      openUploadPack: createUploadPack(mirrors),
      readBlob: blobs.readBlob,
      writeBlob: blobs.writeBlob,
      storeCheckpoint: checkpoints.storeCheckpoint,
      missCheckpoint: checkpoints.missCheckpoint,
    },
    whenLost: async (worker, reason, isRemoved) => {
      blobs.dropProducer(worker);
      // What ran on one that is merely silent goes on as its policy says.
      if (isRemoved) await book.loseWorker(worker, reason);
    },
  });
  const watch = postgres && watchDatabase(postgresFolder, db, log);
  const drivers = await engine;
  const adopt = (): Promise<unknown> => drivers.adopt(async () => new Set((await listLeases(db)).map((lease) => lease.server_id)));
  servers?.follow({ registry, adopt });

  const stopWork = async (): Promise<void> => {
    await agents.stop();
    await registry.stop();
    await tasks.stop();
    await drivers.close();
  };
  return {
    url,
    async close() {
      clearInterval(watch);
      loopDelay.stop();
      // Others go on with it: until they have it, whoever asks is told so instead of finding nobody.
      const isHandedOver = !fleet.isAlone();
      await fleet.drain();
      await sweeps.stop();
      await merges.stop();
      await suites.stop();
      if (isHandedOver) {
        await tasks.stopPlacing();
        await registry.stop();
        await freeWorkers(db, serverId);
        servers?.tellChange();
        await stopWork();
      }
      await http.close();
      if (!isHandedOver) await stopWork();
      servers?.close();
      await book.drain();
      await mirrors.settled();
      await openRequests.stop();
      await notary.stop();
      await tail.close();
      await others?.notifier.drain();
      await others?.listener.close();
      await fleet.release();
      await fleet.close();
      await db.close();
      await postgres?.stop();
    },
  };
}

async function folderIn(dataFolder: string, name: string): Promise<string> {
  const folder = join(dataFolder, name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Starts our PostgreSQL again when it died under us; connections find it at the same address. */
function watchDatabase(folder: string, db: ReturnType<typeof openDb>, log: Logger): NodeJS.Timeout {
  let isStarting = false;
  return setInterval(() => {
    if (isStarting) return;
    db.query('select 1').catch(async () => {
      if (isStarting) return;
      isStarting = true;
      log.warn('PostgreSQL does not answer and is started again');
      await startEmbeddedPostgres(folder).catch((error: unknown) => log.error({ err: error }, 'PostgreSQL could not be started again'));
      isStarting = false;
    });
  }, DATABASE_CHECK_MS);
}
