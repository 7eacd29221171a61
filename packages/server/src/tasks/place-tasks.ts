import { setTimeout as sleep } from 'node:timers/promises';
import { newId, type TaskId } from '@helixcode/protocol/ids';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import type { PoolWorker } from '../workers/worker-pool.ts';
import { jobOfAttempt } from './attempt-job.ts';
import { countTakenSlots, insertAttempts, type NewAttempt } from './attempt-sql.ts';
import type { LeafTimes } from './leaf-times.ts';
import { ownerOf, type PlaceableLeaf, type Placement, placeLeaves, type TakenSlots, type Waiting } from './placement.ts';
import type { TaskContext } from './task-context.ts';
import { claimLeaves, listReadyLeaves, lockStragglers, noteCopy, type ReadyLeaf, setWaitingFor, tryLockPlacement } from './task-sql.ts';

/** How often placement looks by itself while there is work: pauses of failed leaves end, stragglers show. */
const SWEEP_MS = 200;
/** The same while nothing waits or runs: only another server could have brought work unheard. */
const IDLE_SWEEP_MS = 1_000;
/** The least time between the beginnings of two passes: under load, one pass serves many wake-ups. */
const PASS_EVERY_MS = 5;
/** Leaves of one lane looked at in one pass. */
const LEAVES_AT_ONCE = 500;
/** Leaves that are told in one pass why they wait: thousands that wait for the same need not all say it. */
const EXPLAINED_AT_ONCE = 20;
/**
 * Work that may wait at a worker for each of its slots: enough to keep a slot busy while what ended is put on the books,
 * little enough that nothing else waits long behind it.
 */
const AHEAD_MS = 100;
const MOST_AHEAD_PER_SLOT = 16;

export interface PlacementLoop {
  /** Looks for work soon; calls made while a pass runs lead to one more pass. */
  wake(): void;
  stop(): Promise<void>;
}

/** Keeps placing ready leaves on free slots until stopped. */
export function startPlacement(context: Omit<TaskContext, 'wakePlacement'>): PlacementLoop {
  let stopped = false;
  let asked = true;
  let passedAtMs = 0;
  let sweepMs = SWEEP_MS;
  let wakeUp: (() => void) | undefined;

  const loop = (async () => {
    while (!stopped) {
      if (!asked) await pause();
      if (stopped) return;
      const restMs = passedAtMs + PASS_EVERY_MS - performance.now();
      if (restMs > 0) await sleep(restMs);
      passedAtMs = performance.now();
      asked = false;
      try {
        const pass = await placeOnce(context);
        if (pass.mayPlaceMore) asked = true;
        sweepMs = pass.isIdle ? IDLE_SWEEP_MS : SWEEP_MS;
      } catch (error) {
        context.log.error({ err: error }, 'placement failed and will be tried again');
        await pause();
      }
    }
  })();

  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(wakeNow, sweepMs);
      function wakeNow(): void {
        clearTimeout(timer);
        wakeUp = undefined;
        resolve();
      }
      wakeUp = wakeNow;
    });
  }

  return {
    wake() {
      asked = true;
      wakeUp?.();
    },
    async stop() {
      stopped = true;
      wakeUp?.();
      await loop;
    },
  };
}

interface Assigned {
  attempt: NewAttempt;
  job: JobSpec;
}

/** One pass: everything that can start now, starts. */
async function placeOnce(context: Omit<TaskContext, 'wakePlacement'>): Promise<{ mayPlaceMore: boolean; isIdle: boolean }> {
  const workers = context.pool.workers();
  let limit = 0;
  let isIdle = false;
  const assigned = await context.db.tx(async (tx) => {
    if (!(await tryLockPlacement(tx))) return [];
    const takenRows = await countTakenSlots(tx);
    const taken: TakenSlots = {
      byWorker: sumBy(
        takenRows,
        (row) => row.worker_id,
        (row) => row.taken,
      ),
      byRoot: sumBy(
        takenRows,
        (row) => row.root_id,
        (row) => row.taken,
      ),
      byOwner: sumBy(
        takenRows,
        (row) => ownerOf({ project: row.project_id, root: row.root_id }),
        (row) => row.taken,
      ),
      seatsByWorker: sumBy(
        takenRows,
        (row) => row.worker_id,
        (row) => row.seats,
      ),
    };
    limit = Math.min(LEAVES_AT_ONCE, Math.max(EXPLAINED_AT_ONCE, freePlaces(workers, taken)));
    const leaves = await listReadyLeaves(tx, limit);
    isIdle = leaves.length === 0 && takenRows.length === 0;
    if (isIdle) return [];
    if (leaves.length === 0) return copyStragglers(context, tx, workers, taken);

    const { placements, waiting } = placeLeaves(
      leaves.map((leaf) => toPlaceable(leaf, context.leafTimes)),
      workers,
      taken,
    );
    await explain(tx, leaves, placements, waiting);
    return startLeaves(context, tx, placements, workers);
  });

  for (const { attempt, job } of assigned) context.pool.assign(attempt.worker, attempt.id, job, {});
  if (assigned.length > 0) context.wakeEvents();
  return { mayPlaceMore: limit > 0 && assigned.length >= limit, isIdle };
}

/** Jobs that the workers could take if all were of the shortest. */
function freePlaces(workers: readonly PoolWorker[], taken: TakenSlots): number {
  return workers
    .filter((worker) => worker.state === 'up' && worker.admission === 'open')
    .reduce((sum, worker) => sum + Math.max(0, worker.slots * (1 + MOST_AHEAD_PER_SLOT) - (taken.byWorker.get(worker.id) ?? 0)), 0);
}

/** Says of leaves why they wait. Of those that only wait for their turn, the first of a lane that does not move says it. */
async function explain(tx: TaskContext['db'], leaves: ReadyLeaf[], placements: Placement[], waiting: Waiting[]): Promise<void> {
  const leafById = new Map(leaves.map((leaf) => [leaf.id, leaf]));
  const spoken = new Set(placements.map((placement) => leafById.get(placement.leaf)?.lane));
  const news: (Waiting & { root: TaskId })[] = [];
  for (const row of waiting) {
    const leaf = leafById.get(row.leaf);
    if (!leaf || (row.isQueued && spoken.has(leaf.lane))) continue;
    spoken.add(leaf.lane);
    if (leaf.waiting_for !== row.reason) news.push({ ...row, root: leaf.root_id });
  }
  if (news.length === 0) return;
  const told = news.slice(0, EXPLAINED_AT_ONCE);
  await setWaitingFor(
    tx,
    told.map((row) => ({ id: row.leaf, reason: row.reason })),
  );
  await appendEvents(
    tx,
    told.map(({ leaf, root, reason }) => ({ root, task: leaf, body: { type: 'task.waiting', reason } })),
  );
}

async function startLeaves(
  context: Omit<TaskContext, 'wakePlacement'>,
  tx: TaskContext['db'],
  placements: Placement[],
  workers: readonly PoolWorker[],
): Promise<Assigned[]> {
  if (placements.length === 0) return [];
  const nameOf = new Map(workers.map((worker) => [worker.id, worker.name]));
  const workerOf = new Map(placements.map((placement) => [placement.leaf, placement.worker]));
  const assigned: Assigned[] = [];
  const events: NewEvent[] = [];
  for (const leaf of await claimLeaves(
    tx,
    placements.map((placement) => placement.leaf),
  )) {
    const worker = workerOf.get(leaf.id);
    if (!worker) continue;
    const attempt: NewAttempt = {
      id: newId('attempt'),
      task: leaf.id,
      number: leaf.attempts,
      worker,
      isCopy: false,
      restore: leaf.restore,
    };
    assigned.push({ attempt, job: jobOfAttempt(leaf.job, leaf.policy, leaf.restore) });
    events.push(
      { root: leaf.root_id, task: leaf.id, body: { type: 'task.moved', from: 'pending', to: 'running', command: 'claim' } },
      {
        root: leaf.root_id,
        task: leaf.id,
        worker,
        body: { type: 'attempt.moved', attempt: attempt.id, number: attempt.number, to: 'assigned', worker: nameOf.get(worker) ?? worker },
      },
    );
  }
  await insertAttempts(
    tx,
    context.serverId,
    assigned.map((row) => row.attempt),
  );
  await appendEvents(tx, events);
  context.log.debug({ placed: assigned.length }, 'placed leaves');
  return assigned;
}

/** Nothing is queued and slots are idle: races a copy of what takes far longer than expected, on another worker. */
async function copyStragglers(
  context: Pick<TaskContext, 'serverId'>,
  tx: TaskContext['db'],
  workers: readonly PoolWorker[],
  taken: TakenSlots,
): Promise<Assigned[]> {
  const byWorker = new Map(taken.byWorker);
  const idle = workers.filter(
    (worker) => worker.state === 'up' && worker.admission === 'open' && (byWorker.get(worker.id) ?? 0) < worker.slots,
  );
  if (idle.length === 0 || workers.length < 2) return [];
  const stragglers = await lockStragglers(tx, idle.length);
  const assigned: Assigned[] = [];
  for (const straggler of stragglers) {
    const elsewhere = workers.filter((worker) => worker.id !== straggler.worker_id);
    const leaf: PlaceableLeaf = {
      id: straggler.task_id,
      root: straggler.root_id,
      project: straggler.project_id,
      lane: 0,
      priority: 0,
      expectedMs: null,
      createdAtMs: 0,
      requires: straggler.requires,
      onlyWorker: straggler.only_worker,
      maxSlots: null,
      isSeat: false,
      tried: [],
      aheadPerSlot: 0,
    };
    const [placement] = placeLeaves([leaf], elsewhere, { ...taken, byWorker }).placements;
    if (!placement) continue;
    byWorker.set(placement.worker, (byWorker.get(placement.worker) ?? 0) + 1);
    assigned.push({
      attempt: {
        id: newId('attempt'),
        task: straggler.task_id,
        number: straggler.attempts + 1,
        worker: placement.worker,
        isCopy: true,
        restore: straggler.restore,
      },
      job: jobOfAttempt(straggler.job, straggler.policy, straggler.restore),
    });
  }
  if (assigned.length > 0) {
    await noteCopy(
      tx,
      assigned.map((row) => row.attempt.task),
    );
    await insertAttempts(
      tx,
      context.serverId,
      assigned.map((row) => row.attempt),
    );
  }
  return assigned;
}

function toPlaceable(leaf: ReadyLeaf, leafTimes: LeafTimes): PlaceableLeaf {
  const meanMs = leaf.parent_id === null ? undefined : leafTimes.meanMs(leaf.parent_id);
  // What must not run twice is not sent where it may only wait: it would be lost with its worker.
  const mayWait = meanMs !== undefined && leaf.may_be_replaced;
  return {
    id: leaf.id,
    root: leaf.root_id,
    project: leaf.project_id,
    lane: leaf.lane,
    priority: leaf.priority,
    expectedMs: leaf.expected_ms,
    createdAtMs: leaf.created_at.getTime(),
    requires: leaf.requires,
    onlyWorker: leaf.only_worker,
    maxSlots: leaf.max_slots,
    isSeat: leaf.is_seat,
    tried: leaf.tried,
    aheadPerSlot: mayWait ? Math.min(MOST_AHEAD_PER_SLOT, Math.floor(AHEAD_MS / Math.max(1, meanMs))) : 0,
  };
}

function sumBy<Row, Key>(rows: Row[], keyOf: (row: Row) => Key, amountOf: (row: Row) => number): Map<Key, number> {
  const sums = new Map<Key, number>();
  for (const row of rows) sums.set(keyOf(row), (sums.get(keyOf(row)) ?? 0) + amountOf(row));
  return sums;
}
