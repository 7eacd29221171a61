import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { killNow } from '../../support/processes.ts';
import type { Chance } from '../chance.ts';
import { type ChaosWorker, killMachine } from '../chaos-workers.ts';
import type { AgentWorld } from './agent-world.ts';
import { LOST_AFTER_MS } from './agent-world.ts';

export type StrikeKind = 'server killed' | 'daemon killed' | 'worker lost' | 'worker lost, its folder gone';

/** What is done to a run, and at which point of it. */
export interface StrikePlan {
  kind: StrikeKind;
  /** So long after the model was asked for this turn. */
  turn: number;
  afterMs: number;
  /** Until the server is started again. */
  downMs: number;
}

/** Something that was killed. */
export interface Struck {
  kind: StrikeKind;
  /** Milliseconds since the epoch. */
  atMs: number;
  /** Of a worker; `undefined`: of the server, which every run needs. */
  worker: string | undefined;
}

/** Some turns take this long. */
const LONGEST_PAUSE_MS = 500;
/** A worker that is lost stays away for longer than its silence is borne. */
const AWAY_MS = LOST_AFTER_MS + 2_000;
const SEAT_WITHIN_MS = 20_000;

export function planStrike(chance: Chance, turns: number): StrikePlan {
  return {
    kind: chance.pick<StrikeKind>([
      'server killed',
      'server killed',
      'server killed',
      'server killed',
      'daemon killed',
      'daemon killed',
      'daemon killed',
      'worker lost',
      'worker lost, its folder gone',
    ]),
    turn: chance.between(0, turns - 2),
    afterMs: chance.between(0, LONGEST_PAUSE_MS),
    downMs: chance.between(50, 1_000),
  };
}

/**
 * Strikes what a run needs.
 * @returns what was struck, and when it is mended; `undefined` when the run was over first
 */
export async function strike(
  world: AgentWorld,
  plan: StrikePlan,
  run: { task: string; isOver(): boolean },
): Promise<{ struck: Struck; mended: Promise<void> } | undefined> {
  const { kind } = plan;
  if (kind === 'server killed') {
    if (run.isOver()) return undefined;
    const atMs = Date.now();
    await world.server.kill();
    const mended = sleep(plan.downMs).then(() => world.server.start());
    return { struck: { kind, atMs, worker: undefined }, mended };
  }
  for (const deadlineMs = performance.now() + SEAT_WITHIN_MS; performance.now() < deadlineMs && !run.isOver(); await sleep(20)) {
    const worker = await workerOf(world, run.task);
    const daemon = worker?.daemon();
    if (!worker || daemon === undefined) continue;
    const struck: Struck = { kind, atMs: Date.now(), worker: worker.id };
    if (kind !== 'daemon killed') return { struck, ...(await loseWorker(worker, kind === 'worker lost, its folder gone')) };
    killNow(daemon);
    return { struck, mended: Promise.resolve() };
  }
  return undefined;
}

/** The worker with the files of an agent. */
async function workerOf({ database, workers }: AgentWorld, task: string): Promise<ChaosWorker | undefined> {
  const { rows } = await database.db.query<{ worker_id: string }>(
    `select a.worker_id from distributed_tasks t join task_attempts a on a.task_id = t.id
      where t.parent_id = $1 and t.key = 'seat' and a.state = 'running' and a.fenced is null and not a.is_complete
      order by a.number desc limit 1`,
    [task],
  );
  return workers.find(({ id }) => id === rows[0]?.worker_id);
}

/** All its processes end at one moment, and where its files were is something on which nothing can be started. @returns when it is back */
async function loseWorker({ home }: ChaosWorker, isGone: boolean): Promise<{ mended: Promise<void> }> {
  await killMachine(home);
  const away = `${home}.away`;
  renameSync(home, away);
  writeFileSync(home, '');
  const mended = sleep(AWAY_MS).then(() => {
    rmSync(home);
    if (isGone) rmSync(away, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    else renameSync(away, home);
  });
  return { mended };
}
