import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { snapshotOf } from '../../support/hand-in.ts';
import { type AskedOfModel, startModelServer } from '../../support/model-server.ts';
import { usesModelAt } from '../../support/scripted-model.ts';
import { type AskServers, askServers } from '../ask-servers.ts';
import { type ChaosDatabase, givenChaosDatabase } from '../chaos-database.ts';
import { type ChaosServer, givenChaosServer } from '../chaos-server.ts';
import { addLocalWorker, type ChaosWorker } from '../chaos-workers.ts';
import { processesAround, signalAll } from '../processes-in.ts';
import { FIRST_FILES, type ScriptedWork } from './scripted-work.ts';

const WORKERS = ['near', 'nearer', 'next', 'nigh'];
/** A model that answers at once would leave no time in which something can happen. */
const THINKS_MS = 60;
const UP_WITHIN_MS = 90_000;
/** Silence after which the files of an agent come back elsewhere: short, so that it happens. */
export const LOST_AFTER_MS = 2_000;

/** An answer of the model. */
export interface Answer {
  /** It stands in its text, and in no other's. */
  note: string;
  /** When it was asked for, in milliseconds since the epoch. */
  askedAtMs: number;
  request: AskedOfModel;
}

/** One server, some workers on this machine, and a model that says what a script has. */
export interface AgentWorld extends AskServers {
  folder: string;
  database: ChaosDatabase;
  server: ChaosServer;
  workers: ChaosWorker[];
  code: { project: string; commit: string };
  /** File to which the commands of agents append, outside of every checkout. */
  counter: string;
  /** Lets the model know of a work. @param onAsked at each request of it */
  tell(work: ScriptedWork, onAsked: (answer: Answer) => void): void;
  keep(): void;
}

/** @param cleanUp ends all that is begun here, and removes the folder unless it is kept */
export async function givenAgentWorld(cleanUp: AsyncDisposableStack): Promise<AgentWorld> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-chaos-'));
  // As root, the database runs under an account of its own, which must come through.
  chmodSync(folder, 0o711);
  let isKept = false;
  cleanUp.defer(() => {
    if (!isKept) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  });
  cleanUp.defer(() => endAll(folder));
  const database = await givenChaosDatabase(folder);
  cleanUp.defer(() => database.close());

  const works = new Map<string, { work: ScriptedWork; onAsked: (answer: Answer) => void }>();
  let answers = 0;
  const model = await startModelServer((_, request) => {
    const told = request.messages.map(({ role, content }) => (role === 'user' ? works.get(String(content)) : undefined)).find(Boolean);
    if (!told) throw new Error('the model was asked about something that nobody told it of');
    const note = `(answer ${++answers})`;
    told.onAsked({ note, request, askedAtMs: performance.timeOrigin + request.atMs });
    return { ...told.work.sayNext(request.messages, note), afterMs: THINKS_MS };
  });
  cleanUp.defer(() => model.stop());
  const server = await givenChaosServer(
    folder,
    'server-1',
    {
      // The marks that commands leave lie outside of every checkout: no sandbox, and no questions for want of one.
      ...usesModelAt(model.baseUrl, folder, { agent: { permissions: { commands: 'allow' } } }),
      PATH: `${withoutSandbox(folder)}:${process.env['PATH']}`,
      DATABASE_URL: database.url,
      HELIX_WORKERS_LOCAL: 'false',
      HELIX_WORKERS_HEARTBEAT_MS: '500',
      HELIX_WORKERS_LOST_AFTER_MS: String(LOST_AFTER_MS),
      HELIX_WORKERS_USER_SSH_CONFIG: 'false',
    },
    undefined,
  );
  cleanUp.defer(() => server.close());
  const servers = askServers([server]);
  const workers: ChaosWorker[] = [];
  for (const name of WORKERS) workers.push(await addLocalWorker({ folder, servers: [server], ...servers }, name));
  const counter = path.join(folder, 'counter');
  writeFileSync(counter, '');
  const world: AgentWorld = {
    folder,
    database,
    server,
    workers,
    code: await givenCode(server, folder),
    counter,
    tell: (work, onAsked) => void works.set(work.goal, { work, onAsked }),
    keep: () => void (isKept = true),
    ...servers,
  };
  await agentWorkersAreUp(world);
  return world;
}

/** @returns a folder whose bwrap can do nothing: whoever finds it first has no sandbox */
function withoutSandbox(worldFolder: string): string {
  const folder = path.join(worldFolder, 'bin');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'bwrap'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  return folder;
}

export async function agentWorkersAreUp(world: AgentWorld): Promise<void> {
  for (const deadlineMs = performance.now() + UP_WITHIN_MS; ; await sleep(100)) {
    const { items } = await world.ask((client, signal) => client.call('workers.list', { signal }));
    const away = items.filter((worker) => worker.state !== 'up');
    if (away.length === 0) return;
    if (performance.now() > deadlineMs)
      throw new Error(`not up: ${away.map(({ name, state, reason }) => `${name} is ${state} (${reason?.message})`).join('; ')}`);
  }
}

async function givenCode(server: ChaosServer, worldFolder: string): Promise<{ project: string; commit: string }> {
  const folder = path.join(worldFolder, 'code');
  for (const [name, text] of Object.entries(FIRST_FILES)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=chaos', '-c', 'user.email=chaos@localhost', ...args], { cwd: folder });
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
  return snapshotOf(server.process.client, folder);
}

async function endAll(folder: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const left = processesAround(folder);
    if (left.length === 0) return;
    signalAll(
      left.map(({ pid }) => pid),
      'SIGKILL',
    );
    await sleep(50);
  }
}
