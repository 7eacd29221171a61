import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { JobReport } from '@helixcode/protocol/worker/job';
import { AGENT_HASH } from '../agent-hash.ts';
import { agentCommand } from '../attach/agent-command.ts';
import { LoadSampler } from '../capabilities/load-sampler.ts';
import { FactFinder } from '../capabilities/machine-facts.ts';
import { Commands } from '../commands/commands.ts';
import { takeDaemonLock } from '../home/daemon-lock.ts';
import { isStale, readEpoch, type SeenEpoch, writeEpoch } from '../home/epoch-file.ts';
import { baseEnvironment } from '../home/program-path.ts';
import { makePrivateFolder, socketPaths, type WorkerHome } from '../home/worker-home.ts';
import { isErrno } from '../home/write-file.ts';
import type { Job } from '../jobs/job.ts';
import { JobTable } from '../jobs/job-table.ts';
import { Launcher } from '../jobs/launcher.ts';
import { ServerTunnels } from '../link/server-tunnels.ts';
import { Session, type SessionHost } from '../link/session.ts';
import { shutIn } from '../sandbox/shut-in.ts';
import { Blobs } from '../workspace/blobs.ts';
import { Checkpoints } from '../workspace/checkpoints.ts';
import { Git, writeGitConfig } from '../workspace/git.ts';
import { RepoCache } from '../workspace/repo-cache.ts';
import { SetupCache } from '../workspace/setup-cache.ts';
import { tidyKept } from '../workspace/tidy-kept.ts';
import { UploadPackTunnels } from '../workspace/upload-pack-tunnels.ts';
import { Workspaces } from '../workspace/workspaces.ts';
import { WorktreePool } from '../workspace/worktree-pool.ts';
import { WorkspaceDesk } from '../workspace-ops/workspace-desk.ts';
import { daemonLog } from './daemon-log.ts';

/** How often the daemon makes sure that it is still the one. */
const LOCK_CHECK_MS = 5_000;

/**
 * Serves one worker on this machine until it is told to stop. Nothing depends on it but the link: jobs go on when it is
 * killed, and the next daemon takes them over from their files.
 *
 * @returns false when another daemon serves this worker already
 */
export async function runDaemon(home: WorkerHome): Promise<boolean> {
  makePrivateFolder(home.runFolder);
  const log = daemonLog(home.logFile);
  const lock = takeDaemonLock(home.lockFile);
  if (!lock) return false;

  const environment = baseEnvironment();
  const tunnels = new ServerTunnels();
  let session: Session | undefined;
  /** While there is no session: when the last one heard of the server. */
  let heardAtMs = performance.now();
  let seenEpoch = readEpoch(home.epochFile);
  const server = createServer({ allowHalfOpen: true });
  const socketPath = await listen(server, home);

  const finder = new FactFinder(home.factsFile, home.runFolder, environment['PATH'] ?? '', (facts) => session?.pushFacts(facts));
  const sampler = new LoadSampler(home.runFolder);
  const launcher = new Launcher(environment, (news) => (news.commandName === undefined ? jobs.hear(news) : commands.hear(news)));
  const git = new Git(environment, home.gitConfigFile);
  const uploadPacks = new UploadPackTunnels(tunnels, socketPath, agentCommand());
  const repos = new RepoCache(home.reposFolder, git, uploadPacks);
  const blobs = new Blobs(tunnels);
  const commands = new Commands({ launcher, log, wrap: shutIn({ environment, workerHome: home.root }) });
  const around = {
    launcher,
    endCommands: (job: Job) => commands.endAll(job),
    baseEnvironment: environment,
    onReport: (report: JobReport) => session?.push(report),
    serverSilentMs: () => performance.now() - (session?.heardAtMs ?? heardAtMs),
    log,
    get workspaces() {
      return workspaces;
    },
  };
  const jobs = new JobTable(home, around);
  const pool = new WorktreePool(home.treesFolder, git, repos, () => jobs.leasedTrees());
  const setups = new SetupCache(home.setupsFolder, git, blobs, pool, () => finder.platform(), log);
  const checkpoints = new Checkpoints(git, repos, tunnels);
  const workspaces = new Workspaces({ home, repos, pool, setups, blobs, checkpoints, environment });

  const close = (why: string): void => {
    log(`daemon ends: ${why}`);
    session?.end();
    jobs.close();
    commands.close();
    launcher.close();
    server.close();
    if (lock.isHeld()) rmSync(socketPath, { force: true });
    lock.release();
    // What is under way in the session gets a moment to leave.
    setTimeout(() => process.exit(0), 50);
  };

  const host: SessionHost = {
    agentHash: AGENT_HASH,
    jobs,
    tunnels,
    takeOver(newSession: Session, offered: SeenEpoch): boolean {
      if (isStale(seenEpoch, offered)) return false;
      seenEpoch = { epoch: offered.epoch, server: offered.server };
      try {
        writeEpoch(home.epochFile, seenEpoch);
      } catch (error) {
        log(`the epoch could not be written: ${String(error)}`);
      }
      const old = session;
      session = newSession;
      old?.supersede(offered.epoch);
      return true;
    },
    left(leaving: Session): void {
      if (session !== leaving) return;
      session = undefined;
      heardAtMs = leaving.heardAtMs;
      tunnels.linkDown();
    },
    facts: () => finder.facts(),
    probe: () => void finder.refresh(),
    load: () => sampler.sample(jobs.runningCount()),
    warmProjects: () => pool.warmProjects(),
    tidy: (limits, dryRun) => tidyKept({ pool, repos, setups }, limits, dryRun),
    desk: new WorkspaceDesk(jobs, commands, git),
    shutdown: () => close('the server asked for it'),
    log,
  };

  writeGitConfig(home.gitConfigFile);
  jobs.adopt();
  for (const job of jobs.all()) commands.adopt(job);
  launcher.warmUp();
  server.on('connection', (socket) => receive(socket, host, uploadPacks));
  log(`daemon ${AGENT_HASH} serves ${socketPath}`);
  jobs.resumePreparations();
  setTimeout(() => finder.refreshIfOld(), 500);
  setInterval(() => {
    if (!lock.isHeld()) close('its lock or its home was taken away');
  }, LOCK_CHECK_MS).unref();
  process.on('SIGTERM', () => close('SIGTERM'));
  process.on('SIGINT', () => close('SIGINT'));
  process.on('SIGHUP', () => {});
  process.on('uncaughtException', (error) => {
    log(`daemon fails: ${error.stack ?? error.message}`);
    process.exit(1);
  });
  return true;
}

/** A frame begins with a zero byte, since none is as long as 16 MiB; `tunnel <token>` does not. */
function receive(socket: Socket, host: SessionHost, uploadPacks: UploadPackTunnels): void {
  socket.on('error', () => {}); // `close` follows, and whoever uses the socket sees that.
  const first = (chunk: Buffer): void => {
    socket.pause();
    if (chunk[0] === 0) {
      new Session(socket, host);
      socket.unshift(chunk);
      socket.resume();
      return;
    }
    // A tunnel's other direction goes on after this one has ended.
    socket.off('end', endToo);
    const lineEnd = chunk.indexOf('\n');
    const token = /^tunnel ([0-9a-f]{32})$/.exec(chunk.toString('latin1', 0, Math.max(0, lineEnd)))?.[1];
    if (token === undefined) socket.destroy();
    else void uploadPacks.serve(socket, token, chunk.subarray(lineEnd + 1));
  };
  const endToo = (): void => void socket.end();
  socket.once('data', first);
  socket.once('end', endToo);
}

/** Listens beside the run folder's files, or where sockets are possible. */
async function listen(server: Server, home: WorkerHome): Promise<string> {
  const paths = socketPaths(home);
  for (const path of paths) {
    try {
      if (dirname(path) === home.runFolder) mkdirSync(home.runFolder, { recursive: true, mode: 0o700 });
      else makePrivateFolder(dirname(path));
      // We hold the lock: whoever listened there before is dead.
      rmSync(path, { force: true });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(path, () => {
          server.off('error', reject);
          resolve();
        });
      });
      chmodSync(path, 0o600);
      return path;
    } catch (error) {
      const isLast = path === paths.at(-1);
      if (isLast || !isErrno(error, 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENAMETOOLONG')) throw error;
    }
  }
  throw new Error(`no socket could be made for ${home.runFolder}`);
}
