import { newId, type TaskId, type WorkerId } from '@helixcode/protocol/ids';
import { type PlaceableLeaf, placeLeaves } from '@helixcode/server/tasks/placement';
import type { PoolWorker } from '@helixcode/server/workers/worker-pool';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const none = new Map<never, number>();

function givenWorker(facts: Partial<PoolWorker> = {}): PoolWorker {
  const id = newId('worker');
  return {
    id, name: facts.name ?? id, state: 'up', admission: 'open', slots: 2, labels: new Set(['linux']), load: undefined,
    warmProjects: new Set(), ...facts,
  };
}

function givenLeaf(facts: Partial<PlaceableLeaf> = {}): PlaceableLeaf {
  const id = newId('task');
  return { id, root: id, project: null, requires: [], onlyWorker: null, maxSlots: null, tried: [], ...facts };
}

const load = {
  cpuPercent: 0, cpuPressure: 0, memoryPressure: 0, ioPressure: 0, memoryFreeBytes: 1e9, diskFreeBytes: 1e12, load1: 0, runningJobs: 0,
};

test('a task goes to the worker that has what it asks for', () => {
  const gpu = givenWorker({ labels: new Set(['linux', 'gpu']) });
  const leaf = givenLeaf({ requires: ['gpu'] });
  expect(placeLeaves([leaf], [givenWorker(), gpu], none, none).placements).toEqual([{ leaf: leaf.id, worker: gpu.id }]);
});

test('a task for a capability nobody has waits, and says for what', () => {
  const leaf = givenLeaf({ requires: ['linux', 'gpu'] });
  expect(placeLeaves([leaf], [givenWorker()], none, none).waiting).toEqual([{ leaf: leaf.id, reason: 'no worker has gpu' }]);
});

test('capabilities that no single worker has together are told apart from missing ones', () => {
  const workers = [givenWorker({ labels: new Set(['go']) }), givenWorker({ labels: new Set(['gpu']) })];
  const [waiting] = placeLeaves([givenLeaf({ requires: ['go', 'gpu'] })], workers, none, none).waiting;
  expect(waiting?.reason).toBe('no single worker has all of go, gpu');
});

test('among equals the worker with the larger share of free slots is taken', () => {
  const [busy, idle] = [givenWorker({ slots: 4 }), givenWorker({ slots: 2 })];
  const leaf = givenLeaf();
  const { placements } = placeLeaves([leaf], [busy, idle], new Map([[busy.id, 1]]), none);
  expect(placements[0]?.worker).toBe(idle.id);
});

test('a worker with the checkout is preferred, and one that failed the task before is avoided', () => {
  const [cold, warm] = [givenWorker(), givenWorker({ warmProjects: new Set(['prj_1']) })];
  expect(placeLeaves([givenLeaf({ project: 'prj_1' })], [cold, warm], none, none).placements[0]?.worker).toBe(warm.id);
  expect(placeLeaves([givenLeaf({ project: 'prj_1', tried: [warm.id] })], [cold, warm], none, none).placements[0]?.worker).toBe(cold.id);
});

test('a worker under pressure gets work only when no other has room', () => {
  const pressed = givenWorker({ load: { ...load, cpuPressure: 90 }, slots: 9 });
  const calm = givenWorker({ load, slots: 1 });
  const leaves = [givenLeaf(), givenLeaf()];
  expect(placeLeaves(leaves, [pressed, calm], none, none).placements.map((placement) => placement.worker)).toEqual([calm.id, pressed.id]);
});

test('a worker without disk space gets no work, and the task says so', () => {
  const full = givenWorker({ name: 'attic', load: { ...load, diskFreeBytes: 1_000 } });
  expect(placeLeaves([givenLeaf()], [full], none, none).waiting[0]?.reason).toBe('every suitable worker is out of disk space: attic');
});

test('draining and unconnected workers get no work, and the task says why', () => {
  const draining = givenWorker({ name: 'a', admission: 'draining' });
  const suspect = givenWorker({ name: 'b', state: 'suspect' });
  expect(placeLeaves([givenLeaf()], [draining], none, none).waiting[0]?.reason).toBe('every suitable worker is closed: a is draining');
  expect(placeLeaves([givenLeaf()], [suspect], none, none).waiting[0]?.reason).toBe('no suitable worker is connected: b is suspect');
  expect(placeLeaves([givenLeaf()], [], none, none).waiting[0]?.reason).toContain('helix workers add');
});

test('no slot is taken twice, no run exceeds its slots, and nothing waits beside a free slot it could have', () => {
  const labels = fc.subarray(['a', 'b', 'c']);
  const workers = fc.array(fc.record({ slots: fc.integer({ min: 1, max: 4 }), labels, taken: fc.integer({ min: 0, max: 4 }) }), { maxLength: 6 });
  const leaves = fc.array(fc.record({ requires: labels, root: fc.integer({ min: 0, max: 2 }), maxSlots: fc.option(fc.integer({ min: 1, max: 3 })) }), { maxLength: 20 });
  fc.assert(
    fc.property(workers, leaves, (workerFacts, leafFacts) => {
      const pool = workerFacts.map((facts) => givenWorker({ slots: facts.slots, labels: new Set(facts.labels) }));
      const taken = new Map<WorkerId, number>(pool.map((worker, index) => [worker.id, Math.min(workerFacts[index]?.taken ?? 0, worker.slots)]));
      const queue = leafFacts.map((facts) => givenLeaf({ requires: facts.requires, root: `root${facts.root}` as TaskId, maxSlots: facts.maxSlots ?? null }));
      const { placements, waiting } = placeLeaves(queue, pool, taken, none);

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
        const free = pool.filter((worker) => (used.get(worker.id) ?? 0) < worker.slots && leaf.requires.every((label) => worker.labels.has(label)));
        expect(free).toEqual([]);
      }
    }),
  );
});
