import { expect, test } from 'vitest';
import { findShardCosts } from '../../../src/tasks/testing/shard-costs.ts';

const shard = (units: number, restMs: number) => ({ units, unitsMs: units * 100, wallMs: units * 100 + restMs });

test('what grows with the number of units is theirs, what does not is the cost of a shard', () => {
  expect(findShardCosts([shard(10, 2_000 + 5_000), shard(40, 2_000 + 20_000), shard(3, 2_000 + 1_500)])).toEqual({
    fixedMs: 2_000,
    perUnitMs: 500,
  });
});

test('one shard with a slow start does not change what is learnt from the others', () => {
  const costs = findShardCosts([shard(2, 90_000), ...[4, 6, 8, 10, 12].map((units) => shard(units, 1_000 + units * 300))]);
  expect(costs).toEqual({ fixedMs: 1_000, perUnitMs: 300 });
});

test('shards of the same length tell only their whole cost', () => {
  expect(findShardCosts([shard(5, 900), shard(5, 1_100), shard(5, 1_000)])).toEqual({ fixedMs: 1_000, perUnitMs: 0 });
  expect(findShardCosts([shard(5, -50)])).toEqual({ fixedMs: 0, perUnitMs: 0 });
  expect(findShardCosts([])).toBeUndefined();
});
