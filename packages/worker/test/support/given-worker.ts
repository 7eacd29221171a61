import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@helixcode/protocol/ids';
import type { MachineFacts } from '@helixcode/protocol/worker/capabilities';
import { PREAMBLE } from '@helixcode/protocol/worker/preamble';
import { onTestFinished } from 'vitest';
import { bootId } from '../../src/home/boot-id.ts';
import { JobFolder } from '../../src/jobs/job-folder.ts';
import { killLeftovers, startTimeOf } from '../../src/jobs/process-table.ts';
import { TestServer } from './test-server.ts';

const packageFolder = join(import.meta.dirname, '..', '..');
export const BUNDLE = join(packageFolder, 'dist', 'helix-worker.cjs');

const someFacts: Omit<MachineFacts, 'bootId'> = {
  os: 'linux',
  arch: process.arch,
  libc: 'none',
  kernel: '',
  hostname: hostname(),
  cores: 1,
  memoryBytes: 0,
  diskBytes: 0,
  gpus: [],
  tools: {},
  modelServers: {},
  sandbox: 'none',
  user: '',
};

/** A worker of its own, run from the bundle. */
export interface GivenWorker {
  home: string;
  runFolder: string;
  jobFolder(attempt: string): string;
  /** Starts the daemon where none runs, as `attach` does, and links a server to it. */
  connect(options?: { epoch?: number; server?: string; acks?: boolean }): Promise<TestServer>;
  daemonPid(): number;
  killDaemon(): Promise<void>;
  environment: NodeJS.ProcessEnv;
}

/**
 * @param options `findsFacts`: begins without knowing its machine, which costs seconds of a processor;
 *   `limitBlocks`: no file of the daemon may be larger than so many blocks of 512 bytes
 */
export function givenWorker(
  options: { home?: string; environment?: NodeJS.ProcessEnv; limitBlocks?: number; findsFacts?: boolean } = {},
): GivenWorker {
  execFileSync(process.execPath, [join(packageFolder, 'build.ts')]);
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'helix-worker-test-'));
  const environment: NodeJS.ProcessEnv = { ...process.env, HELIX_WORKER_HOME: home, ...options.environment };
  const runFolder = join(home, 'run', hostname(), 'w');
  if (!options.findsFacts) {
    mkdirSync(runFolder, { recursive: true, mode: 0o700 });
    writeFileSync(join(runFolder, 'facts.json'), JSON.stringify({ ...someFacts, bootId: environment['HELIX_BOOT_ID'] ?? bootId() }));
  }
  let epoch = 0;
  const servers: TestServer[] = [];
  const worker: GivenWorker = {
    home,
    runFolder,
    environment,
    jobFolder: (attempt) => join(runFolder, 'jobs', attempt),
    async connect(wanted = {}) {
      await startByAttach(worker.environment, options.limitBlocks);
      const server = await TestServer.connect(join(runFolder, 'w.sock'), {
        epoch: wanted.epoch ?? ++epoch,
        server: wanted.server ?? 'srv_1',
        acks: wanted.acks ?? true,
      });
      servers.push(server);
      return server;
    },
    daemonPid() {
      return Number(readFileSync(join(runFolder, 'lock'), 'utf8').split(' ')[0]);
    },
    async killDaemon() {
      const pid = worker.daemonPid();
      process.kill(pid, 'SIGKILL');
      while (startTimeOf(pid) !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
  onTestFinished(() => {
    for (const server of servers) server.close();
    execFileSync(process.execPath, [BUNDLE, 'stop', '--ns', 'w'], { env: environment });
    // Jobs outlive their daemon; a test that failed midway leaves some.
    const jobs = existsSync(join(runFolder, 'jobs')) ? readdirSync(join(runFolder, 'jobs')) : [];
    killLeftovers(new Set(jobs));
    for (const job of jobs) rmSync(new JobFolder(join(runFolder, 'jobs'), job).tmpFolder, { recursive: true, force: true });
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  });
  return worker;
}

/** Resolves when the preamble is there, that is: when the daemon answers. */
export async function startByAttach(environment: NodeJS.ProcessEnv, limitBlocks?: number): Promise<void> {
  const limit = limitBlocks === undefined ? '' : `ulimit -f ${limitBlocks}; `;
  const attach = spawn('/bin/sh', ['-c', `${limit}exec "$@"`, 'sh', process.execPath, BUNDLE, 'attach', '--ns', 'w'], {
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  await new Promise<void>((resolve, reject) => {
    attach.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.includes(PREAMBLE)) resolve();
    });
    attach.on('exit', (code) => reject(new Error(`attach ended with ${code}`)));
  });
  attach.removeAllListeners('exit');
  attach.stdin.end();
}

/** Ids that no other test uses: a job is found by its id among all processes of the machine. */
export function attempts(): [string, string, string] {
  return [newId('attempt'), newId('attempt'), newId('attempt')];
}
