import type { TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { PoolWorker } from '../workers/worker-pool.ts';

/** What placement needs to know of a leaf. */
export interface PlaceableLeaf {
  id: TaskId;
  root: TaskId;
  project: string | null;
  requires: readonly string[];
  onlyWorker: WorkerId | null;
  maxSlots: number | null;
  /** Workers that tried it before: another one is preferred. */
  tried: readonly WorkerId[];
}

export interface Placement {
  leaf: TaskId;
  worker: WorkerId;
}

export interface Waiting {
  leaf: TaskId;
  reason: string;
}

/** Above this share of time spent waiting for a processor or for memory, a worker with other choices is passed over. */
const PRESSURE_LIMIT_PERCENT = 60;
/** Below this, a job would fail for want of space: the worker gets no work. */
const DISK_FLOOR_BYTES = 64 * 1024 * 1024;

/**
 * Decides which leaf goes to which worker. Leaves are taken in the order given (priority, fairness and length are the
 * caller's); each goes to the suitable worker with a free slot that, in this order: has not failed it before, is not
 * under pressure, has the project's checkout, and has the largest share of its slots free.
 *
 * @param takenSlots  jobs that hold a slot, by worker
 * @param takenByRoot jobs that hold a slot, by root task (for `maxSlots`)
 */
export function placeLeaves(
  leaves: readonly PlaceableLeaf[],
  workers: readonly PoolWorker[],
  takenSlots: ReadonlyMap<WorkerId, number>,
  takenByRoot: ReadonlyMap<TaskId, number>,
): { placements: Placement[]; waiting: Waiting[] } {
  const taken = new Map(takenSlots);
  const rootTaken = new Map(takenByRoot);
  const placements: Placement[] = [];
  const waiting: Waiting[] = [];
  // Trees of many equal leaves ask the same question thousands of times.
  const suitableByNeed = new Map<string, PoolWorker[]>();

  for (const leaf of leaves) {
    const ofRoot = rootTaken.get(leaf.root) ?? 0;
    if (leaf.maxSlots !== null && ofRoot >= leaf.maxSlots) {
      waiting.push({ leaf: leaf.id, reason: `its run may use ${leaf.maxSlots} slots at once and does` });
      continue;
    }
    const need = `${leaf.onlyWorker ?? ''} ${leaf.requires.join(' ')}`;
    const suitable = suitableByNeed.get(need) ?? workers.filter((worker) => isSuitable(leaf, worker));
    suitableByNeed.set(need, suitable);
    const free = suitable.filter((worker) => isOpen(worker) && (taken.get(worker.id) ?? 0) < worker.slots);
    const best = free.reduce<PoolWorker | undefined>(
      (chosen, worker) => (chosen === undefined || isBetter(leaf, worker, chosen, taken) ? worker : chosen),
      undefined,
    );
    if (best === undefined) {
      waiting.push({ leaf: leaf.id, reason: whyNot(leaf, workers, suitable) });
      continue;
    }
    placements.push({ leaf: leaf.id, worker: best.id });
    taken.set(best.id, (taken.get(best.id) ?? 0) + 1);
    rootTaken.set(leaf.root, ofRoot + 1);
  }
  return { placements, waiting };
}

function isSuitable(leaf: PlaceableLeaf, worker: PoolWorker): boolean {
  if (leaf.onlyWorker !== null && leaf.onlyWorker !== worker.id) return false;
  return leaf.requires.every((label) => worker.labels.has(label));
}

function isOpen(worker: PoolWorker): boolean {
  if (worker.state !== 'up' || worker.admission !== 'open') return false;
  return worker.load === undefined || worker.load.diskFreeBytes >= DISK_FLOOR_BYTES;
}

function isBetter(leaf: PlaceableLeaf, a: PoolWorker, b: PoolWorker, taken: ReadonlyMap<WorkerId, number>): boolean {
  const ranks = [a, b].map((worker) => [
    leaf.tried.includes(worker.id) ? 1 : 0,
    isPressed(worker) ? 1 : 0,
    leaf.project !== null && !worker.warmProjects.has(leaf.project) ? 1 : 0,
    (taken.get(worker.id) ?? 0) / worker.slots,
  ]);
  const [ofA = [], ofB = []] = ranks;
  for (const [index, rank] of ofA.entries()) {
    const other = ofB[index] ?? 0;
    if (rank !== other) return rank < other;
  }
  return false;
}

function isPressed(worker: PoolWorker): boolean {
  const load = worker.load;
  return load !== undefined && Math.max(load.cpuPressure, load.memoryPressure) > PRESSURE_LIMIT_PERCENT;
}

/** Why a leaf waits, as a person would ask it. */
function whyNot(leaf: PlaceableLeaf, workers: readonly PoolWorker[], suitable: readonly PoolWorker[]): string {
  if (workers.length === 0) return 'there is no worker: add one with helix workers add user@host';
  if (suitable.length === 0) {
    if (leaf.onlyWorker !== null) {
      const only = workers.find((worker) => worker.id === leaf.onlyWorker);
      if (!only) return `the worker ${leaf.onlyWorker} it asks for was removed`;
      const missing = leaf.requires.filter((label) => !only.labels.has(label));
      return `the worker ${only.name} it asks for has no ${missing.join(', ')}`;
    }
    const nobodyHas = leaf.requires.filter((label) => !workers.some((worker) => worker.labels.has(label)));
    return nobodyHas.length > 0
      ? `no worker has ${nobodyHas.join(', ')}`
      : `no single worker has all of ${leaf.requires.join(', ')}`;
  }
  const up = suitable.filter((worker) => worker.state === 'up');
  if (up.length === 0)
    return `no suitable worker is connected: ${suitable.map((worker) => `${worker.name} is ${worker.state}`).join(', ')}`;
  const admitted = up.filter((worker) => worker.admission === 'open');
  if (admitted.length === 0)
    return `every suitable worker is closed: ${up.map((worker) => `${worker.name} is ${worker.admission}`).join(', ')}`;
  const withSpace = admitted.filter(isOpen);
  if (withSpace.length === 0) return `every suitable worker is out of disk space: ${admitted.map((worker) => worker.name).join(', ')}`;
  return 'every suitable slot is taken';
}
