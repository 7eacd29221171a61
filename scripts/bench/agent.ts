import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { snapshotOf } from '../../test/support/hand-in.ts';
import { type AskedOfModel, type Said, startModelServer } from '../../test/support/model-server.ts';
import { daemonOf, proportionalBytes } from '../../test/support/processes.ts';
import { usesModelAt } from '../../test/support/scripted-model.ts';
import { givenHome, removeHome, removeServer, type ServerProcess, startServer } from '../../test/support/server-process.ts';
import { taskIsSettled, workersAreUp } from '../../test/support/wait-for.ts';
import { mustRun } from '../demo/command.ts';
import { atMost, type Measurement, quantile } from './measurement.ts';
import { cpuMsIfThere, postgresProcesses } from './process-cost.ts';

const TURNS = 30;
const AT_ONCE = 8;
const WARM_UP_RUNS = 2;
const RUNS = 3;
const FILES = 40;
const LOOK_AT_MEMORY_EVERY_MS = 100;
const WORDS_AND_TOOLS_BYTES = 8 * 1024;

/** One run as the model saw it. */
interface Seen {
  firstRequestMs: number;
  /** From the end of an answer to the next request. */
  turnsMs: { after: string; ms: number }[];
  requests: AskedOfModel[];
}

/** Agents at work with a model that answers at once: what is measured is everything but the model. */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const model = await startModelServer((turn) => sayAt(turn));
  cleanUp.defer(() => model.stop());
  const home = givenHome();
  cleanUp.defer(() => removeHome(home));
  const server = await startServer(home, {
    ...usesModelAt(model.baseUrl, home),
    HELIX_WORKERS_LOCAL: 'false',
    HELIX_GLOBAL_LOG_LEVEL: 'warn',
  });
  cleanUp.defer(() => removeServer(server).catch(() => {}));
  const folder = path.join(home, 'worker');
  mkdirSync(folder);
  const worker = await server.client.call('workers.add', { body: { name: 'near', transport: 'local', folder, slots: AT_ONCE } });
  await workersAreUp(server.client, 1);
  const code = await givenCode(server, home);

  const run = async (goal: string): Promise<Seen> => {
    const submittedMs = performance.now();
    const session = await server.client.call('sessions.start', { body: { ...code, goal, verify: [], setup: null } });
    const { state, failure } = await taskIsSettled(server, session.task);
    if (state !== 'completed') throw new Error(`the agent is ${state}: ${failure?.message}`);
    return seenOf(
      model.asked.filter((asked) => asked.messages.some(({ role, content }) => role === 'user' && content === goal)),
      submittedMs,
    );
  };
  // The first runs pay for code that is compiled and connections that are opened.
  for (let n = 0; n < WARM_UP_RUNS; n++) await run(`warm up ${n}`);
  const alone: Seen[] = [];
  const cpu = watchCpuTime({
    server: () => [server.pid],
    daemon: () => pidsOf(folder, worker.id),
    postgres: () => postgresProcesses(home),
  });
  for (let n = 0; n < RUNS; n++) alone.push(await run(`alone ${n}`));
  const usedMs = cpu();

  const memory = watchMemory(() => [server.pid, ...pidsOf(folder, worker.id)]);
  const beganMs = performance.now();
  const together = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => run(`together ${n}`)));
  const togetherMs = performance.now() - beganMs;
  const mostMiB = memory.stop() / 2 ** 20;
  const floor = await measureFloor(model.baseUrl, cleanUp);

  const turnsMs = alone.flatMap((seen) => seen.turnsMs);
  const after = (tool: string): number =>
    quantile(
      turnsMs.filter((turn) => turn.after === tool).map(({ ms }) => ms),
      0.5,
    );
  const turnMs = quantile(
    turnsMs.map(({ ms }) => ms),
    0.5,
  );
  const firstRequestMs = quantile(
    alone.map((seen) => seen.firstRequestMs),
    0.5,
  );
  const [first] = alone[0]?.requests ?? [];
  if (!first) throw new Error('the model was not asked');
  const fixedBytes = Buffer.byteLength(JSON.stringify(first.messages[0]?.content)) + Buffer.byteLength(JSON.stringify(first.tools));
  const all = [...alone, ...together];
  const broken = all.filter(({ requests }) => !isEachABeginningOfTheNext(requests)).length;
  return {
    metrics: {
      turnMs,
      turnP90Ms: quantile(
        turnsMs.map(({ ms }) => ms),
        0.9,
      ),
      turnAfterReadMs: after('read'),
      turnAfterShellMs: after('shell'),
      turnAfterEditMs: after('edit'),
      cpuPerTurnServerMs: usedMs.server / (RUNS * TURNS),
      cpuPerTurnDaemonMs: usedMs.daemon / (RUNS * TURNS),
      cpuPerTurnPostgresMs: usedMs.postgres / (RUNS * TURNS),
      firstRequestMs,
      togetherWallMs: togetherMs,
      togetherTurnMs: quantile(
        together.flatMap((seen) => seen.turnsMs.map(({ ms }) => ms)),
        0.5,
      ),
      togetherMiB: mostMiB,
      systemAndToolsBytes: fixedBytes,
      brokenPrefixes: broken,
    },
    baseline: { name: 'a loop in one process that keeps nothing', metrics: { turnMs: floor, ratio: turnMs / floor } },
    bars: [
      atMost('end of an answer to the next request in ms, median', turnMs, 20),
      atMost('submit to the first request in ms, median', firstRequestMs, 150),
      atMost(`server and worker with ${AT_ONCE} agents in MiB`, mostMiB, 400),
      atMost('runs in which a request is not the beginning of the next one', broken, 0),
      atMost('system prompt and tool schemas in bytes', fixedBytes, WORDS_AND_TOOLS_BYTES),
    ],
  };
}

/** Reads, runs a command, edits, and so on; each edit builds on the one before. */
function sayAt(turn: number): Said {
  if (turn >= TURNS) return { text: 'It is done.' };
  const round = Math.floor(turn / 3);
  const call = [
    { tool: 'read', input: { path: `src/part-${round}.txt` } },
    { tool: 'shell', input: { command: `wc -l src/*.txt | tail -1; echo round ${round}` } },
    { tool: 'edit', input: { path: 'src/counter.txt', old: `count ${round}\n`, new: `count ${round + 1}\n` } },
  ][turn % 3];
  return { calls: call ? [call] : [] };
}

async function givenCode(server: ServerProcess, home: string): Promise<{ project: string; commit: string }> {
  const folder = path.join(home, 'code');
  writeCode(folder);
  const git = (...args: string[]): Promise<unknown> =>
    mustRun('git', ['-C', folder, '-c', 'user.name=bench', '-c', 'user.email=bench@localhost', ...args]);
  await git('init', '-q');
  await git('add', '.');
  await git('commit', '-qm', 'first');
  return snapshotOf(server.client, folder);
}

function writeCode(folder: string): void {
  mkdirSync(path.join(folder, 'src'), { recursive: true });
  for (let n = 0; n < FILES; n++)
    writeFileSync(
      path.join(folder, 'src', `part-${n}.txt`),
      Array.from({ length: 60 }, (_, line) => `line ${line} of part ${n}\n`).join(''),
    );
  writeFileSync(path.join(folder, 'src/counter.txt'), 'count 0\n');
}

function seenOf(requests: AskedOfModel[], submittedMs: number): Seen {
  const [first] = requests;
  if (!first || requests.length !== TURNS + 1) throw new Error(`the model was asked ${requests.length} times, expected ${TURNS + 1}`);
  const turnsMs = requests.slice(1).flatMap((request, index) => {
    const answeredAtMs = requests[index]?.answeredAtMs;
    return answeredAtMs === undefined ? [] : [{ after: sayAt(index).calls?.[0]?.tool ?? '', ms: request.atMs - answeredAtMs }];
  });
  return { firstRequestMs: first.atMs - submittedMs, turnsMs, requests };
}

/** Vendors keep what they have read of a prompt only as far as the next one begins with it to the byte. */
function isEachABeginningOfTheNext(requests: readonly AskedOfModel[]): boolean {
  const unmarked = ({ messages }: AskedOfModel): string[] =>
    messages.map((message) => JSON.stringify(message, (key, value: unknown) => (key === 'cache_control' ? undefined : value)));
  return requests.slice(1).every((request, index) => {
    const before = requests[index] as AskedOfModel;
    const now = unmarked(request);
    return JSON.stringify(before.tools) === JSON.stringify(request.tools) && unmarked(before).every((text, at) => text === now[at]);
  });
}

function pidsOf(folder: string, worker: string): number[] {
  const daemon = daemonOf(folder, worker);
  return daemon === undefined ? [] : [daemon];
}

/** Processor time that groups of processes use from now on, in milliseconds: it says less about what else the machine does. */
function watchCpuTime<Name extends string>(groups: Record<Name, () => number[]>): () => Record<Name, number> {
  const look = (): Record<Name, number> =>
    Object.fromEntries(
      Object.entries<() => number[]>(groups).map(([name, pids]) => [name, pids().reduce((sum, pid) => sum + cpuMsIfThere(pid), 0)]),
    ) as Record<Name, number>;
  const before = look();
  return () => {
    const after = look();
    return Object.fromEntries(Object.keys(groups).map((name) => [name, after[name as Name] - before[name as Name]])) as Record<
      Name,
      number
    >;
  };
}

/** @returns when stopped, the most that some processes took together, in bytes: what they share is counted once */
function watchMemory(pids: () => number[]): { stop(): number } {
  let most = 0;
  const look = (): void => {
    most = Math.max(
      most,
      pids().reduce((sum, pid) => sum + proportionalBytes(pid), 0),
    );
  };
  const timer = setInterval(look, LOOK_AT_MEMORY_EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      look();
      return most;
    },
  };
}

/** The same conversation from a loop that does each call in this process and keeps it in memory. @returns the median of its turns */
async function measureFloor(baseUrl: string, cleanUp: AsyncDisposableStack): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-floor-'));
  cleanUp.defer(() => rmSync(folder, { recursive: true, force: true }));
  writeCode(folder);
  const messages: object[] = [{ role: 'user', content: 'the floor' }];
  const turnsMs: number[] = [];
  for (let turn = 0, answeredMs = Number.NaN; turn < TURNS; turn++) {
    const body = JSON.stringify({ model: 'scripted', stream: true, messages });
    if (turn > 0) turnsMs.push(performance.now() - answeredMs);
    const response = await fetch(`${baseUrl}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await response.text();
    answeredMs = performance.now();
    const result = await doHere(folder, sayAt(turn));
    messages.push({ role: 'assistant', content: '' }, { role: 'tool', tool_call_id: `call_${turn}_0`, content: result });
  }
  return quantile(turnsMs, 0.5);
}

async function doHere(folder: string, { calls: [call] = [] }: Said): Promise<string> {
  const { path: name = '', command = '', old = '', new: replacement = '' } = (call?.input ?? {}) as Record<string, string>;
  const file = path.join(folder, name);
  if (call?.tool === 'shell') return (await promisify(execFile)('/bin/sh', ['-c', command], { cwd: folder })).stdout;
  if (call?.tool === 'edit') await writeFile(file, readFileSync(file, 'utf8').replace(old, replacement));
  return readFile(file, 'utf8');
}
