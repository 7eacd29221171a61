import fc from 'fast-check';
import { expect, test } from 'vitest';
import { listScheduleMs, planShards } from '../../../src/tasks/testing/plan-shards.ts';

const suite = (timesMs: readonly number[]) => timesMs.map((expectedMs, index) => ({ unit: `u${index}`, expectedMs }));
const total = (timesMs: readonly number[]) => timesMs.reduce((sum, ms) => sum + ms, 0);
const slots = fc.integer({ min: 1, max: 64 });
/** Uneven on purpose: most units short, some up to a hundred times as long. */
const unevenMs = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 20, max: 400 }) },
  { weight: 1, arbitrary: fc.integer({ min: 400, max: 4_000 }) },
);

test('every unit is in exactly one shard', () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined }), { maxLength: 200 }),
      slots,
      fc.integer({ min: 0, max: 5_000 }),
      (timesMs, slotCount, fixedMs) => {
        const units = timesMs.map((expectedMs, index) => ({ unit: `u${index}`, expectedMs }));
        const shards = planShards({ units, slots: slotCount, fixedMs });
        expect(shards.flatMap((shard) => shard.units).sort()).toEqual(units.map((one) => one.unit).sort());
        expect(shards.every((shard) => shard.units.length > 0)).toBe(true);
      },
    ),
  );
});

test('with estimates off by 30 %, wall time stays within 1.15 of an even share plus one start, whenever no unit and no start is too long for that', () => {
  fc.assert(
    fc.property(
      fc.array(unevenMs, { minLength: 100, maxLength: 600 }),
      fc.integer({ min: 2, max: 12 }),
      fc.infiniteStream(fc.double({ min: -0.3, max: 0.3, noNaN: true })),
      fc.double({ min: 0, max: 0.01, noNaN: true }),
      (timesMs, slotCount, off, fixedShare) => {
        const shareMs = total(timesMs) / slotCount;
        fc.pre(Math.max(...timesMs) < shareMs * 0.1);
        const fixedMs = fixedShare * shareMs;
        const realMs = new Map(timesMs.map((ms, index) => [`u${index}`, ms * (1 + Number(off.next().value))]));
        const shards = planShards({ units: suite(timesMs), slots: slotCount, fixedMs });
        const jobsMs = shards.map((shard) => fixedMs + total(shard.units.map((unit) => realMs.get(unit) ?? 0)));
        const wallMs = listScheduleMs(jobsMs, slotCount);
        const realShareMs = total([...realMs.values()]) / slotCount;
        expect(wallMs).toBeLessThanOrEqual(1.15 * realShareMs + fixedMs);
        expect(total(jobsMs) / (slotCount * wallMs)).toBeGreaterThanOrEqual(0.95);
      },
    ),
    { numRuns: 60 },
  );
});

test('the longest unit goes first and alone, and the last shards are the smallest', () => {
  const shards = planShards({ units: suite([100, 120, 5_000, 90, ...new Array<number>(200).fill(50)]), slots: 4, fixedMs: 1 });
  expect(shards[0]?.units).toEqual(['u2']);
  expect(shards.length).toBeGreaterThan(8);
  expect(shards.map((shard) => shard.expectedMs)).toEqual(shards.map((shard) => shard.expectedMs).toSorted((a, b) => b - a));
});

test('where a start costs more than the tests, there is one shard per slot', () => {
  expect(planShards({ units: suite(new Array<number>(100).fill(10)), slots: 4, fixedMs: 5_000 })).toHaveLength(4);
});

test('a unit never timed counts as the median of the others', () => {
  const shards = planShards({ units: [...suite([10, 200, 3_000]), { unit: 'new' }], slots: 1, fixedMs: 0 });
  expect(shards.reduce((sum, shard) => sum + shard.expectedMs, 0)).toBe(3_410);
});

test('where nothing was ever timed, long files go first', () => {
  const shards = planShards({
    units: [
      { unit: 'short', sizeBytes: 500 },
      { unit: 'long', sizeBytes: 90_000 },
      { unit: 'middle', sizeBytes: 2_000 },
    ],
    slots: 3,
    fixedMs: 0,
  });
  expect(shards.flatMap((shard) => shard.units)).toEqual(['long', 'middle', 'short']);
});

test('a suite without units has no shards', () => {
  expect(planShards({ units: [], slots: 4, fixedMs: 10 })).toEqual([]);
});

test('the same suite always gets the same plan', () => {
  const plan = { units: suite([5, 9, 1, 40, 12, 7, 7, 7]), slots: 2, fixedMs: 3 };
  expect(planShards(plan)).toEqual(planShards({ ...plan, units: plan.units.toReversed() }));
});
