import { createHash } from 'node:crypto';

/** Chance that repeats: what is drawn, and in which order, follows from the seed alone. */
export interface Chance {
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number;
  is(probability: number): boolean;
  /** @throws Error when there is nothing to choose from */
  pick<Item>(items: readonly Item[]): Item;
  shuffled<Item>(items: readonly Item[]): Item[];
}

export function givenChance(seed: string): Chance {
  let state = createHash('sha256').update(seed).digest().readUInt32LE(0);
  /** A share from 0 to below 1: a step of a counter, mixed (the 32 bit mixer known as murmur3's). */
  const share = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
  const chance: Chance = {
    between: (least, most) => least + Math.floor(share() * (most - least + 1)),
    is: (probability) => share() < probability,
    pick(items) {
      const item = items[chance.between(0, items.length - 1)];
      if (item === undefined) throw new Error('there is nothing to choose from');
      return item;
    },
    shuffled: (items) =>
      items
        .map((item) => ({ item, at: share() }))
        .sort((a, b) => a.at - b.at)
        .map(({ item }) => item),
  };
  return chance;
}
