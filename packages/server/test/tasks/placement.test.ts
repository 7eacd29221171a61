import { newId, type TaskId, type WorkerId } from '@helixcode/protocol/ids';
import { ownerOf, type PlaceableLeaf, placeLeaves, type TakenSlots } from '@helixcode/server/tasks/placement';
import type { PoolWorker } from '@helixcode/server/workers/worker-pool';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const idle: TakenSlots = { byWorker: new Map(), byRoot: new Map(), byOwner: new Map(), seatsByWorker: new Map() };
let lastLane = 0;

function givenWorker(facts: Partial<PoolWorker> = {}): PoolWorker {
  const id = newId('worker');
  return {
    id,
    name: facts.name ?? id,
    state: 'up',
    admission: 'open',
    slots: 2,
    labels: new Set(['linux']),
    load: undefined,
    warmProjects: new Set(),
    ...facts,
  };
}

function givenLeaf(facts: Partial<PlaceableLeaf> = {}): PlaceableLeaf {
  const id = newId('task');
  return {
    id,
    root: id,
    project: null,
    lane: ++lastLane,
    priority: 0,
    expectedMs: null,
    createdAtMs: 0,
    requires: [],
    onlyWorker: null,
    maxSlots: null,
    isSeat: false,
    tried: [],
    aheadPerSlot: 0,
    ...facts,
  };
}

const load = {
  cpuPercent: 0,
  cpuPressure: 0,
  memoryPressure: 0,
  ioPressure: 0,
  memoryFreeBytes: 1e9,
  diskFreeBytes: 1e12,
  load1: 0,
  runningJobs: 0,
};

test('a task goes to the worker that has what it asks for', () => {
  const gpu = givenWorker({ labels: new Set(['linux', 'gpu']) });
  const leaf = givenLeaf({ requires: ['gpu'] });
  expect(placeLeaves([leaf], [givenWorker(), gpu], idle).placements).toEqual([{ leaf: leaf.id, worker: gpu.id }]);
});

test('a task for a capability nobody has waits, and says for what', () => {
  const leaf = givenLeaf({ requires: ['linux', 'gpu'] });
  expect(placeLeaves([leaf], [givenWorker()], idle).waiting).toMatchObject([{ leaf: leaf.id, reason: 'no worker has gpu' }]);
});

test('capabilities that no single worker has together are told apart from missing ones', () => {
  const workers = [givenWorker({ labels: new Set(['go']) }), givenWorker({ labels: new Set(['gpu']) })];
  const [waiting] = placeLeaves([givenLeaf({ requires: ['go', 'gpu'] })], workers, idle).waiting;
  expect(waiting?.reason).toBe('no single worker has all of go, gpu');
});

test('among equals the worker with the larger share of free slots is taken', () => {
  const [busy, free] = [givenWorker({ slots: 4 }), givenWorker({ slots: 2 })];
  const leaf = givenLeaf();
  const { placements } = placeLeaves([leaf], [busy, free], { ...idle, byWorker: new Map([[busy.id, 1]]) });
  expect(placements[0]?.worker).toBe(free.id);
});

test('a worker with the checkout is preferred, and one that failed the task before is avoided', () => {
  const [cold, warm] = [givenWorker(), givenWorker({ warmProjects: new Set(['prj_1']) })];
  expect(placeLeaves([givenLeaf({ project: 'prj_1' })], [cold, warm], idle).placements[0]?.worker).toBe(warm.id);
  expect(placeLeaves([givenLeaf({ project: 'prj_1', tried: [warm.id] })], [cold, warm], idle).placements[0]?.worker).toBe(cold.id);
});

test('a worker under pressure gets work only when no other has room', () => {
  const pressed = givenWorker({ load: { ...load, cpuPressure: 90 }, slots: 9 });
  const calm = givenWorker({ load, slots: 1 });
  const leaves = [givenLeaf(), givenLeaf()];
  expect(placeLeaves(leaves, [pressed, calm], idle).placements.map((placement) => placement.worker)).toEqual([calm.id, pressed.id]);
});

test('a worker without disk space gets no work, and the task says so', () => {
  const full = givenWorker({ name: 'attic', load: { ...load, diskFreeBytes: 1_000 } });
  expect(placeLeaves([givenLeaf()], [full], idle).waiting[0]?.reason).toBe('every suitable worker is out of disk space: attic');
});

test('draining and unconnected workers get no work, and the task says why', () => {
  const draining = givenWorker({ name: 'a', admission: 'draining' });
  const suspect = givenWorker({ name: 'b', state: 'suspect' });
  expect(placeLeaves([givenLeaf()], [draining], idle).waiting[0]?.reason).toBe('every suitable worker is closed: a is draining');
  expect(placeLeaves([givenLeaf()], [suspect], idle).waiting[0]?.reason).toBe('no suitable worker is connected: b is suspect');
  expect(placeLeaves([givenLeaf()], [], idle).waiting[0]?.reason).toContain('helix workers add');
});

test('no slot is taken twice, no run exceeds its slots, and nothing waits beside a free slot it could have', () => {
  const labels = fc.subarray(['a', 'b', 'c']);
  const workers = fc.array(fc.record({ slots: fc.integer({ min: 1, max: 4 }), labels, taken: fc.integer({ min: 0, max: 4 }) }), {
    maxLength: 6,
  });
  const leaves = fc.array(
    fc.record({ requires: labels, root: fc.integer({ min: 0, max: 2 }), maxSlots: fc.option(fc.integer({ min: 1, max: 3 })) }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(workers, leaves, (workerFacts, leafFacts) => {
      const pool = workerFacts.map((facts) => givenWorker({ slots: facts.slots, labels: new Set(facts.labels) }));
      const taken = new Map<WorkerId, number>(
        pool.map((worker, index) => [worker.id, Math.min(workerFacts[index]?.taken ?? 0, worker.slots)]),
      );
      const queue = leafFacts.map((facts) =>
        givenLeaf({ requires: facts.requires, root: `root${facts.root}` as TaskId, maxSlots: facts.maxSlots ?? null }),
      );
      const { placements, waiting } = placeLeaves(queue, pool, { ...idle, byWorker: taken });

      expect(placements.length + waiting.length).toBe(queue.length);
      const used = new Map(taken);
      const ofRoot = new Map<string, number>();
      for (const placement of placements) {
        const leaf = queue.find((candidate) => candidate.id === placement.leaf);
        const worker = pool.find((candidate) => candidate.id === placement.worker);
        expect(leaf?.requires.every((label) => worker?.labels.has(label))).toBe(true);
        used.set(placement.worker, (used.get(placement.worker) ?? 0) + 1);
        ofRoot.set(leaf?.root ?? '', (ofRoot.get(leaf?.root ?? '') ?? 0) + 1);
      }
      for (const worker of pool) expect(used.get(worker.id) ?? 0).toBeLessThanOrEqual(worker.slots);
      for (const { leaf: id } of waiting) {
        const leaf = queue.find((candidate) => candidate.id === id);
        if (!leaf || (leaf.maxSlots !== null && (ofRoot.get(leaf.root) ?? 0) >= leaf.maxSlots)) continue;
        const free = pool.filter(
          (worker) => (used.get(worker.id) ?? 0) < worker.slots && leaf.requires.every((label) => worker.labels.has(label)),
        );
        expect(free).toEqual([]);
      }
    }),
  );
});

test('projects with equal needs share the slots equally, whatever order their tasks came in', () => {
  const owners = fc.array(fc.record({ leaves: fc.integer({ min: 1, max: 12 }), running: fc.integer({ min: 0, max: 4 }) }), {
    minLength: 2,
    maxLength: 5,
  });
  fc.assert(
    fc.property(owners, fc.integer({ min: 1, max: 16 }), fc.integer({ min: 0, max: 3 }), (facts, slots, aheadPerSlot) => {
      const leaves = facts.flatMap((owner, index) =>
        Array.from({ length: owner.leaves }, (_, n) => givenLeaf({ project: `p${index}`, lane: index, createdAtMs: n, aheadPerSlot })),
      );
      const jobs = new Map(facts.map((owner, index) => [`p${index}`, owner.running]));
      const { placements, waiting } = placeLeaves(leaves, [givenWorker({ slots })], { ...idle, byOwner: jobs });
      const leafById = new Map(leaves.map((leaf) => [leaf.id, leaf]));
      const placed = new Set<string>();
      for (const { leaf } of placements) {
        const owner = ownerOf(leafById.get(leaf) as PlaceableLeaf);
        placed.add(owner);
        jobs.set(owner, (jobs.get(owner) ?? 0) + 1);
      }
      // Nobody got a slot beyond those who still wait, and who had fewer jobs.
      const waitingOwners = new Set(waiting.map(({ leaf }) => ownerOf(leafById.get(leaf) as PlaceableLeaf)));
      for (const poor of waitingOwners) for (const rich of placed) expect(jobs.get(rich)).toBeLessThanOrEqual((jobs.get(poor) ?? 0) + 1);
    }),
  );
});

test('no task starts before one of higher priority with the same needs', () => {
  const leaves = fc.array(fc.record({ priority: fc.integer({ min: -2, max: 2 }), project: fc.integer({ min: 0, max: 2 }) }), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(leaves, fc.integer({ min: 1, max: 8 }), (facts, slots) => {
      const queue = facts
        .map(({ priority, project }) => givenLeaf({ priority, project: `p${project}`, lane: project }))
        .toSorted((a, b) => b.priority - a.priority);
      const { placements, waiting } = placeLeaves(queue, [givenWorker({ slots })], idle);
      const priorityOf = (id: TaskId): number => queue.find((leaf) => leaf.id === id)?.priority ?? 0;
      const lowestPlaced = Math.min(...placements.map(({ leaf }) => priorityOf(leaf)));
      const highestWaiting = Math.max(...waiting.map(({ leaf }) => priorityOf(leaf)));
      if (placements.length > 0 && waiting.length > 0) expect(lowestPlaced).toBeGreaterThanOrEqual(highestWaiting);
    }),
  );
});

test('one that finds no place does not hold up those with other needs', () => {
  const linux = givenWorker();
  const leaves = [
    givenLeaf({ requires: ['gpu'], priority: 9, lane: 1 }),
    givenLeaf({ requires: ['gpu'], priority: 9, lane: 1 }),
    givenLeaf({ lane: 2 }),
  ];
  const { placements, waiting } = placeLeaves(leaves, [linux], idle);
  expect(placements).toEqual([{ leaf: leaves[2]?.id, worker: linux.id }]);
  expect(waiting).toHaveLength(2);
});

test('short tasks wait at a busy worker only while nobody else waits for its slots', () => {
  const worker = givenWorker({ slots: 1 });
  const busy = { ...idle, byWorker: new Map([[worker.id, 1]]), byOwner: new Map([['short', 1]]) };
  const short = Array.from({ length: 4 }, () => givenLeaf({ project: 'short', lane: 1, aheadPerSlot: 2 }));
  expect(placeLeaves(short, [worker], busy).placements).toHaveLength(2);
  expect(placeLeaves([...short, givenLeaf({ lane: 2 })], [worker], busy).placements).toEqual([]);
});

test('a job that only holds a checkout takes no slot, and a worker holds no more of them than four for each slot', () => {
  const worker = givenWorker({ slots: 1 });
  const root = newId('task');
  const seats = [1, 2, 3, 4, 5].map(() => givenLeaf({ root, lane: -1, isSeat: true }));
  const { placements, waiting } = placeLeaves([...seats, givenLeaf({ root })], [worker], idle);
  expect(placements).toHaveLength(5);
  expect(waiting).toMatchObject([{ leaf: seats[4]?.id, reason: 'every suitable worker holds as many workspaces as it may' }]);
});
