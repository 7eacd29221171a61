import type { TaskId, WorkerId } from '@helixcode/protocol/ids';
import type { PoolWorker } from '../workers/worker-pool.ts';

/** What placement needs to know of a leaf. */
export interface PlaceableLeaf {
  id: TaskId;
  root: TaskId;
  project: string | null;
  /** Leaves of one lane ask for the same: where one finds no place, the others do not either. */
  lane: number;
  priority: number;
  /** How long it should take, if that is known. */
  expectedMs: number | null;
  createdAtMs: number;
  requires: readonly string[];
  onlyWorker: WorkerId | null;
  maxSlots: number | null;
  /** Only holds a checkout: takes no slot. */
  isSeat: boolean;
  /** Workers that tried it before: another one is preferred. */
  tried: readonly WorkerId[];
  /** How many of its kind may wait at a worker for each slot there. 0 for all but the shortest. */
  aheadPerSlot: number;
}

export interface Placement {
  leaf: TaskId;
  worker: WorkerId;
}

export interface Waiting {
  leaf: TaskId;
  reason: string;
  /** Whether it merely waits for its turn. */
  isQueued: boolean;
}

/** Jobs that hold a slot or wait for one on a worker: by worker, by root task (for `maxSlots`) and by owner. */
export interface TakenSlots {
  byWorker: ReadonlyMap<WorkerId, number>;
  byRoot: ReadonlyMap<TaskId, number>;
  byOwner: ReadonlyMap<string, number>;
  /** Jobs that only hold a checkout, by worker. */
  seatsByWorker: ReadonlyMap<WorkerId, number>;
}

/** Agents think longer than they work: so many may have their files on a worker for each of its slots. */
const SEATS_PER_SLOT = 4;

/** Above this share of time spent waiting for a processor or for memory, a worker with other choices is passed over. */
const PRESSURE_LIMIT_PERCENT = 60;
/** Below this, a job would fail for want of space: the worker gets no work. */
const DISK_FLOOR_BYTES = 64 * 1024 * 1024;

/** Whose fair share a job counts against: its project, or else its tree. */
export function ownerOf(leaf: { project: string | null; root: string }): string {
  return leaf.project ?? leaf.root;
}

/**
 * Decides which leaf goes to which worker.
 *
 * Leaves take turns: higher priority first, then the owner with the fewest jobs (those placed here included), then the
 * longest, then the oldest. Each goes to the suitable worker with a free slot that, in this order: has not failed it
 * before, is not under pressure, has the project's checkout, and has the largest share of its slots free.
 *
 * Short leaves may also wait at a worker, so that its slots need not wait for placement; but not at one where another
 * leaf that takes its turn earlier finds no slot: that one would never get any.
 *
 * @param leaves those of one lane in the order in which they take their turns
 */
export function placeLeaves(
  leaves: readonly PlaceableLeaf[],
  workers: readonly PoolWorker[],
  takenSlots: TakenSlots,
): { placements: Placement[]; waiting: Waiting[] } {
  const slotsTaken = new Map(takenSlots.byWorker);
  const seatsTaken = new Map(takenSlots.seatsByWorker);
  const rootTaken = new Map(takenSlots.byRoot);
  const ownerTaken = new Map(takenSlots.byOwner);
  const placements: Placement[] = [];
  const waiting: Waiting[] = [];
  // Trees of many equal leaves ask the same question thousands of times.
  const workersOfLane = new Map<number, { suitable: PoolWorker[]; open: PoolWorker[] }>();
  const wantedByOthers = new Set<WorkerId>();
  const lanes = [...Map.groupBy(leaves, (leaf) => leaf.lane).values()].map((inLane) => ({ leaves: inLane, next: 0 }));

  const capacityOf = (worker: PoolWorker, leaf: PlaceableLeaf): number =>
    worker.slots * (leaf.isSeat ? SEATS_PER_SLOT : 1 + (wantedByOthers.has(worker.id) ? 0 : leaf.aheadPerSlot));

  for (let lane = nextLane(lanes, ownerTaken); lane !== undefined; lane = nextLane(lanes, ownerTaken)) {
    const leaf = lane.leaves[lane.next];
    if (!leaf) break;
    const giveUpLane = (reason: string, isQueued: boolean): void => {
      for (const { id } of lane.leaves.slice(lane.next)) waiting.push({ leaf: id, reason, isQueued });
      lane.next = lane.leaves.length;
    };
    const taken = leaf.isSeat ? seatsTaken : slotsTaken;
    const ofRoot = rootTaken.get(leaf.root) ?? 0;
    if (leaf.maxSlots !== null && ofRoot >= leaf.maxSlots) {
      giveUpLane(`its run may use ${leaf.maxSlots} slots at once and does`, true);
      continue;
    }
    const { suitable, open } = workersOfLane.get(leaf.lane) ?? workersFor(leaf, workers);
    workersOfLane.set(leaf.lane, { suitable, open });
    const best = open
      .filter((worker) => (taken.get(worker.id) ?? 0) < capacityOf(worker, leaf))
      .reduce<PoolWorker | undefined>(
        (chosen, worker) => (chosen === undefined || isBetter(leaf, worker, chosen, taken) ? worker : chosen),
        undefined,
      );
    if (best === undefined) {
      if (!leaf.isSeat) for (const worker of open) wantedByOthers.add(worker.id);
      giveUpLane(whyNot(leaf, workers, suitable), open.length > 0);
      continue;
    }
    placements.push({ leaf: leaf.id, worker: best.id });
    lane.next += 1;
    taken.set(best.id, (taken.get(best.id) ?? 0) + 1);
    if (leaf.isSeat) continue;
    rootTaken.set(leaf.root, ofRoot + 1);
    ownerTaken.set(ownerOf(leaf), (ownerTaken.get(ownerOf(leaf)) ?? 0) + 1);
  }
  return { placements, waiting };
}

interface Lane {
  leaves: readonly PlaceableLeaf[];
  next: number;
}

/** The lane whose front leaf takes the next turn. */
function nextLane(lanes: readonly Lane[], ownerTaken: ReadonlyMap<string, number>): Lane | undefined {
  let first: Lane | undefined;
  for (const lane of lanes) if (lane.next < lane.leaves.length && (first === undefined || isBefore(lane, first, ownerTaken))) first = lane;
  return first;
}

function isBefore(a: Lane, b: Lane, ownerTaken: ReadonlyMap<string, number>): boolean {
  const [ofA, ofB] = [a.leaves[a.next], b.leaves[b.next]];
  if (!ofA || !ofB) return ofA !== undefined;
  if (ofA.priority !== ofB.priority) return ofA.priority > ofB.priority;
  const [jobsA, jobsB] = [ownerTaken.get(ownerOf(ofA)) ?? 0, ownerTaken.get(ownerOf(ofB)) ?? 0];
  if (jobsA !== jobsB) return jobsA < jobsB;
  if (ofA.expectedMs !== ofB.expectedMs) return (ofA.expectedMs ?? -1) > (ofB.expectedMs ?? -1);
  return ofA.createdAtMs < ofB.createdAtMs;
}

function workersFor(leaf: PlaceableLeaf, workers: readonly PoolWorker[]): { suitable: PoolWorker[]; open: PoolWorker[] } {
  const suitable = workers.filter((worker) => isSuitable(leaf, worker));
  return { suitable, open: suitable.filter(isOpen) };
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
  const share = (worker: PoolWorker): number => (taken.get(worker.id) ?? 0) / worker.slots;
  const against = (isWorse: (worker: PoolWorker) => boolean): number => Number(isWorse(a)) - Number(isWorse(b));
  const difference =
    against((worker) => leaf.tried.includes(worker.id)) ||
    against(isPressed) ||
    against((worker) => share(worker) >= 1) ||
    against((worker) => leaf.project !== null && !worker.warmProjects.has(leaf.project)) ||
    share(a) - share(b);
  return difference < 0;
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
    return nobodyHas.length > 0 ? `no worker has ${nobodyHas.join(', ')}` : `no single worker has all of ${leaf.requires.join(', ')}`;
  }
  const up = suitable.filter((worker) => worker.state === 'up');
  if (up.length === 0)
    return `no suitable worker is connected: ${suitable.map((worker) => `${worker.name} is ${worker.state}`).join(', ')}`;
  const admitted = up.filter((worker) => worker.admission === 'open');
  if (admitted.length === 0)
    return `every suitable worker is closed: ${up.map((worker) => `${worker.name} is ${worker.admission}`).join(', ')}`;
  const withSpace = admitted.filter(isOpen);
  if (withSpace.length === 0) return `every suitable worker is out of disk space: ${admitted.map((worker) => worker.name).join(', ')}`;
  return leaf.isSeat ? 'every suitable worker holds as many workspaces as it may' : 'every suitable slot is taken';
}
