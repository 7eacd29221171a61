import { newId, type TaskId, type WorkerId } from '@helixcode/protocol/ids';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import { appendEvents, type NewEvent } from '../events/event-log.ts';
import { countTakenSlots, insertAttempts, type NewAttempt } from './attempt-sql.ts';
import { type PlaceableLeaf, placeLeaves, type Placement } from './placement.ts';
import type { TaskContext } from './task-context.ts';
import { claimLeaves, lockReadyLeaves, lockStragglers, noteCopy, type ReadyLeaf, setWaitingFor, tryLockPlacement } from './task-sql.ts';

/** How often placement looks by itself: a wake-up may be lost with a crash. */
const SWEEP_MS = 200;
/** Leaves looked at in one pass; more only cost time, for there are never so many free slots. */
const LEAVES_AT_ONCE = 500;

export interface PlacementLoop {
  /** Looks for work soon; calls made while a pass runs lead to one more pass. */
  wake(): void;
  stop(): Promise<void>;
}

/** Keeps placing ready leaves on free slots until stopped. */
export function startPlacement(context: Omit<TaskContext, 'wakePlacement'>): PlacementLoop {
  let stopped = false;
  let asked = true;
  let wakeUp: (() => void) | undefined;

  const loop = (async () => {
    while (!stopped) {
      if (!asked) await pause();
      if (stopped) return;
      asked = false;
      try {
        const pass = await placeOnce(context);
        if (pass.mayPlaceMore) asked = true;
      } catch (error) {
        context.log.error({ err: error }, 'placement failed and will be tried again');
        await pause();
      }
    }
  })();

  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(wakeNow, SWEEP_MS);
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
async function placeOnce(context: Omit<TaskContext, 'wakePlacement'>): Promise<{ mayPlaceMore: boolean }> {
  const workers = context.pool.workers();
  const freeSlots = workers.some((worker) => worker.state === 'up' && worker.admission === 'open');
  const assigned = await context.db.tx(async (tx) => {
    if (!(await tryLockPlacement(tx))) return [];
    const leaves = await lockReadyLeaves(tx, LEAVES_AT_ONCE);
    if (leaves.length === 0 && !freeSlots) return [];
    const takenRows = leaves.length > 0 || workers.length > 1 ? await countTakenSlots(tx) : [];
    const taken = sumBy(takenRows, (row) => row.worker_id, (row) => row.taken);
    const takenByRoot = sumBy(takenRows, (row) => row.root_id, (row) => row.taken);

    const { placements, waiting } = placeLeaves(leaves.map(toPlaceable), workers, taken, takenByRoot);
    const started = leaves.length > 0 ? await startLeaves(context, tx, leaves, placements, workers) : [];
    const reasons = new Map(leaves.map((leaf) => [leaf.id, leaf.waiting_for]));
    const news = waiting.filter((row) => reasons.get(row.leaf) !== row.reason);
    if (news.length > 0) {
      await setWaitingFor(tx, news.map((row) => ({ id: row.leaf, reason: row.reason })));
      const roots = new Map(leaves.map((leaf) => [leaf.id, leaf]));
      await appendEvents(
        tx,
        news.slice(0, 20).map((row) => toWaitingEvent(row.leaf, roots.get(row.leaf)?.root_id ?? row.leaf, row.reason)),
      );
    }
    const copies = leaves.length === 0 ? await copyStragglers(tx, workers, taken, takenByRoot) : [];
    return [...started, ...copies];
  });

  for (const { attempt, job } of assigned) context.pool.assign(attempt.worker, attempt.id, job, {});
  if (assigned.length > 0) context.wakeEvents();
  return { mayPlaceMore: assigned.length >= LEAVES_AT_ONCE };
}

async function startLeaves(
  context: Omit<TaskContext, 'wakePlacement'>,
  tx: TaskContext['db'],
  leaves: ReadyLeaf[],
  placements: Placement[],
  workers: ReturnType<TaskContext['pool']['workers']>,
): Promise<Assigned[]> {
  if (placements.length === 0) return [];
  const leafById = new Map(leaves.map((leaf) => [leaf.id, leaf]));
  const workerById = new Map(workers.map((worker) => [worker.id, worker]));
  const assigned: Assigned[] = [];
  const events: NewEvent[] = [];
  for (const placement of placements) {
    const leaf = leafById.get(placement.leaf);
    if (!leaf) continue;
    const attempt: NewAttempt = {
      id: newId('attempt'), task: leaf.id, number: leaf.attempts + 1, worker: placement.worker, isCopy: false,
    };
    assigned.push({ attempt, job: leaf.job });
    events.push(
      { root: leaf.root_id, task: leaf.id, body: { type: 'task.moved', from: 'pending', to: 'running', command: 'claim' } },
      {
        root: leaf.root_id, task: leaf.id, worker: placement.worker,
        body: {
          type: 'attempt.moved', attempt: attempt.id, number: attempt.number, to: 'assigned',
          worker: workerById.get(placement.worker)?.name ?? placement.worker,
        },
      },
    );
  }
  await claimLeaves(tx, assigned.map((row) => row.attempt.task));
  await insertAttempts(tx, assigned.map((row) => row.attempt));
  await appendEvents(tx, events);
  context.log.debug({ placed: assigned.length }, 'placed leaves');
  return assigned;
}

/** Nothing is queued and slots are idle: races a copy of what takes far longer than expected, on another worker. */
async function copyStragglers(
  tx: TaskContext['db'],
  workers: ReturnType<TaskContext['pool']['workers']>,
  taken: Map<WorkerId, number>,
  takenByRoot: Map<TaskId, number>,
): Promise<Assigned[]> {
  const idle = workers.filter((worker) => worker.state === 'up' && worker.admission === 'open' && (taken.get(worker.id) ?? 0) < worker.slots);
  if (idle.length === 0 || workers.length < 2) return [];
  const stragglers = await lockStragglers(tx, idle.length);
  const assigned: Assigned[] = [];
  for (const straggler of stragglers) {
    const elsewhere = workers.filter((worker) => worker.id !== straggler.worker_id);
    const leaf: PlaceableLeaf = {
      id: straggler.task_id, root: straggler.root_id, project: straggler.project_id, requires: straggler.requires,
      onlyWorker: straggler.only_worker, maxSlots: null, tried: [],
    };
    const [placement] = placeLeaves([leaf], elsewhere, taken, takenByRoot).placements;
    if (!placement) continue;
    taken.set(placement.worker, (taken.get(placement.worker) ?? 0) + 1);
    assigned.push({
      attempt: { id: newId('attempt'), task: straggler.task_id, number: straggler.attempts + 1, worker: placement.worker, isCopy: true },
      job: straggler.job,
    });
  }
  if (assigned.length > 0) {
    await noteCopy(tx, assigned.map((row) => row.attempt.task));
    await insertAttempts(tx, assigned.map((row) => row.attempt));
  }
  return assigned;
}

function toPlaceable(leaf: ReadyLeaf): PlaceableLeaf {
  return {
    id: leaf.id, root: leaf.root_id, project: leaf.project_id, requires: leaf.requires, onlyWorker: leaf.only_worker,
    maxSlots: leaf.max_slots, tried: leaf.tried,
  };
}

function toWaitingEvent(task: TaskId, root: TaskId, reason: string): NewEvent {
  return { root, task, body: { type: 'task.waiting', reason } };
}

function sumBy<Row, Key>(rows: Row[], keyOf: (row: Row) => Key, valueOf: (row: Row) => number): Map<Key, number> {
  const sums = new Map<Key, number>();
  for (const row of rows) sums.set(keyOf(row), (sums.get(keyOf(row)) ?? 0) + valueOf(row));
  return sums;
}
