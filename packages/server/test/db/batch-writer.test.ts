import { createBatchWriter } from '@helixcode/server/db/batch-writer';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

// The window is time itself: the clock is the test's, so that nothing here waits.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

function givenWriter(options: { maxItems?: number } = {}) {
  const writes: { items: number[]; done: PromiseWithResolvers<void> }[] = [];
  const writer = createBatchWriter<number>({
    windowMs: 50,
    maxItems: options.maxItems ?? 100,
    flush(items) {
      const done = Promise.withResolvers<void>();
      writes.push({ items, done });
      return done.promise;
    },
  });
  return { writer, writes, items: () => writes.map((write) => write.items) };
}

const settled = (): Promise<void> => new Promise(setImmediate);

test('after a quiet time an item is written at once, with what is added in the same turn', async () => {
  const { writer, writes, items } = givenWriter();
  const added = Promise.all([writer.add(1), writer.add(2)]);
  await settled();
  expect(items()).toEqual([[1, 2]]);
  writes[0]?.done.resolve();
  await added;
});

test('what arrives during a write goes together into the next, a window after the first began', async () => {
  const { writer, writes, items } = givenWriter();
  void writer.add(1);
  await settled();
  void writer.add(2);
  void writer.add(3);
  writes[0]?.done.resolve();
  await settled();
  vi.advanceTimersByTime(49);
  await settled();
  expect(items()).toEqual([[1]]);
  vi.advanceTimersByTime(2);
  await settled();
  expect(items()).toEqual([[1], [2, 3]]);
});

test('a full batch does not wait for the window, and no write is larger', async () => {
  const { writer, writes, items } = givenWriter({ maxItems: 2 });
  for (const n of [1, 2, 3, 4, 5]) void writer.add(n);
  await settled();
  writes[0]?.done.resolve();
  await settled();
  writes[1]?.done.resolve();
  await settled();
  expect(items()).toEqual([
    [1, 2],
    [3, 4],
  ]);
  vi.advanceTimersByTime(51);
  await settled();
  expect(items()).toEqual([[1, 2], [3, 4], [5]]);
});

test('a write that fails rejects exactly its own items', async () => {
  const { writer, writes } = givenWriter();
  const first = writer.add(1);
  await settled();
  const second = writer.add(2);
  writes[0]?.done.reject(new Error('disk full'));
  await expect(first).rejects.toThrow('disk full');
  vi.advanceTimersByTime(51);
  await settled();
  writes[1]?.done.resolve();
  await second;
});

test('draining writes what waits at once and resolves when nothing is left', async () => {
  const { writer, writes, items } = givenWriter();
  await writer.drain();
  void writer.add(1);
  await settled();
  void writer.add(2);
  const drained = writer.drain();
  writes[0]?.done.resolve();
  await settled();
  expect(items()).toEqual([[1], [2]]);
  writes[1]?.done.resolve();
  await drained;
});
