import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { audit } from './audit.ts';
import { countOf, type Finding } from './findings.ts';
import { findLeftovers, findTemporaryFolders } from './leftovers.ts';
import { givenLoad, type Load } from './load.ts';
import { processesIn } from './processes-in.ts';
import { measureRecovery, type Recovery } from './recovery.ts';
import { findSpoiltWorkers } from './spoilt-workers.ts';
import { type Storm, storm } from './storm.ts';
import { givenWorld, type World, workersAreUp } from './world.ts';

/** So long may what was under way at the end of the faults take to its own end. */
const DRAINS_WITHIN_MS = 120_000;
/** From when on faults happen: then every worker has had something to do. */
const CALM_FIRST_MS = 2_000;

export interface ChaosOptions {
  minutes: number;
  seed: string;
  /** The folder of the world stays even when nothing is found in it. */
  isKept: boolean;
  say(sentence: string): void;
}

/** What a run did and found. */
export interface ChaosResult {
  ok: boolean;
  folder: string;
  /** Of each kind of fault, how often it happened. */
  faults: Map<string, { count: number; isKill: boolean }>;
  /** Trees that were handed in; the tasks and the attempts in the books. */
  trees: number;
  tasks: number;
  attempts: number;
  attemptsBy: Record<string, number>;
  lost: number;
  duplicated: number;
  falseSuccesses: number;
  findings: Finding[];
  leftOut: string[];
  recovery: Recovery[];
}

/** Builds a world, puts load on it, lets faults happen for so many minutes, and holds the books against what was done. */
export async function runChaos(options: ChaosOptions, cleanUp: AsyncDisposableStack): Promise<ChaosResult> {
  const world = await givenWorld(cleanUp);
  try {
    const result = await runIn(world, options);
    if (!result.ok || options.isKept) world.keep();
    return result;
  } catch (error) {
    // What fails after an interrupt fails because of it.
    if (!cleanUp.disposed) world.keep();
    throw error;
  }
}

async function runIn(world: World, { minutes, seed, say }: ChaosOptions): Promise<ChaosResult> {
  say(`${world.servers.length} servers, workers ${world.workers.map(({ name }) => name).join(', ')}; everything lies in ${world.folder}`);
  const load = await givenLoad(world, seed);
  const ending = new AbortController();
  const loading = load.run(ending.signal);
  // Looked at when it is waited for.
  loading.catch(() => ending.abort());
  await sleep(CALM_FIRST_MS);
  const stop = setTimeout(() => ending.abort(), minutes * 60_000);
  const weather = await storm(world, seed, ending.signal).finally(() => clearTimeout(stop));
  await loading;
  say(`${weather.struck.length} faults while ${load.handedIn.length} trees were handed in; waiting for the end of what is under way`);
  const findings = await settle(world, load, weather);
  const audited = await audit(world, load);
  findings.unshift(...audited.findings);
  const recovery = await measureRecovery(world, weather.struck);
  findings.push(...(await findSpoiltWorkers(world, load)), ...(await removeWorkers(world)));
  for (const finding of findings) appendFileSync(path.join(world.folder, 'findings.jsonl'), `${JSON.stringify(finding)}\n`);
  const faults: ChaosResult['faults'] = new Map();
  for (const { kind, isKill } of weather.struck) faults.set(kind, { count: (faults.get(kind)?.count ?? 0) + 1, isKill });
  return {
    ok: findings.length === 0,
    folder: world.folder,
    faults,
    trees: load.handedIn.length,
    tasks: audited.tasks,
    attempts: audited.attempts,
    attemptsBy: audited.attemptsBy,
    lost: countOf(findings, 'lost'),
    duplicated: countOf(findings, 'duplicated'),
    falseSuccesses: countOf(findings, 'false success'),
    findings,
    leftOut: world.leftOut,
    recovery,
  };
}

/** Waits until everything is at rest. @returns what is not as it must be then */
async function settle(world: World, load: Load, { surprises }: Storm): Promise<Finding[]> {
  const findings: Finding[] = surprises.map((what) => ({ kind: 'broken', where: 'a server', what }));
  for (const { name, surprises: ended } of world.workers)
    findings.push(...ended.map((what): Finding => ({ kind: 'broken', where: name, what })));
  await workersAreUp(world).catch((error: Error) => findings.push({ kind: 'broken', where: 'the workers', what: error.message }));
  const open = await load.drain(DRAINS_WITHIN_MS);
  if (open > 0)
    findings.push({ kind: 'lost', where: 'the load', what: `${open} trees came to no end within ${DRAINS_WITHIN_MS / 1000} s` });
  findings.push(...(await findLeftovers(world)), ...(await findTemporaryFolders(world)));
  return findings;
}

/** Takes the workers out of the pool. @returns what is left of them then */
async function removeWorkers(world: World): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, id, home } of world.workers) {
    const find = (what: string): void => void findings.push({ kind: 'left behind', where: name, what });
    try {
      await world.askOnce((client) => client.call('workers.remove', { params: { worker: id }, query: { force: true } }));
    } catch (error) {
      find(`it cannot be removed: ${String(error)}`);
      continue;
    }
    for (const deadlineMs = performance.now() + 10_000; ; await sleep(100)) {
      const left = processesIn(home);
      if (left.length === 0) break;
      if (performance.now() < deadlineMs) continue;
      find(`processes after its removal: ${left.map(({ pid, words }) => `${pid} ${words.slice(0, 80)}`).join('; ')}`);
      break;
    }
  }
  return findings;
}
