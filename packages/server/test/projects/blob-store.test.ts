import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { WorkerId } from '@helixcode/protocol/ids';
import { type BlobStore, createBlobStore } from '@helixcode/server/projects/blob-store';
import { expect, test, vi } from 'vitest';
import { givenFolder } from './repository.ts';

const [ada, bob, cyd] = ['wrk_a', 'wrk_b', 'wrk_c'] as [WorkerId, WorkerId, WorkerId];
const key = 'setup-0123-linux-x64';
const never = new AbortController().signal;

async function ask(store: BlobStore, worker: WorkerId, signal = never): Promise<string | undefined> {
  const content = await store.readBlob(key, worker, signal);
  return content && (await buffer(content)).toString();
}

/** The first of the asks to be answered, and its answer. */
async function firstOf(asks: Record<string, Promise<string | undefined>>): Promise<[string, string | undefined]> {
  return Promise.race(Object.entries(asks).map(async ([name, answer]) => [name, await answer] as [string, string | undefined]));
}

test('one worker is asked to make a blob, the others wait and get it', async () => {
  const store = createBlobStore({ folder: givenFolder() });
  expect(await ask(store, ada)).toBeUndefined();
  const others = Promise.all([ask(store, bob), ask(store, cyd)]);
  await store.writeBlob(key, ada, Readable.from(['made by ada']));
  expect(await others).toEqual(['made by ada', 'made by ada']);
  expect(await ask(store, bob)).toBe('made by ada');
});

test('when the producer fails, the next that waits becomes the producer', async () => {
  const store = createBlobStore({ folder: givenFolder() });
  await ask(store, ada);
  const asks = { bob: ask(store, bob), cyd: ask(store, cyd) };
  const failing = new Readable({ read() {} });
  const writing = store.writeBlob(key, ada, failing);
  failing.destroy(new Error('npm ci failed'));
  await expect(writing).rejects.toThrow('npm ci failed');
  expect(await firstOf(asks)).toEqual(['bob', undefined]);
  await store.writeBlob(key, bob, Readable.from(['made by bob']));
  expect(await asks.cyd).toBe('made by bob');
});

test('when the producer cannot be reached or takes too long, the next that waits becomes the producer', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const store = createBlobStore({ folder: givenFolder(), produceWithinMs: 60_000 });
    await ask(store, ada);
    const asks = { bob: ask(store, bob), cyd: ask(store, cyd) };
    // Both wait once the store was found empty twice.
    await vi.waitFor(() => store.dropProducer(ada));
    expect(await firstOf(asks)).toEqual(['bob', undefined]);
    await vi.advanceTimersByTimeAsync(60_001);
    expect(await asks.cyd).toBeUndefined();
  } finally {
    vi.useRealTimers();
  }
});

test('a waiting worker whose link ends is not asked; a producer that asks again produces', async () => {
  const store = createBlobStore({ folder: givenFolder() });
  await ask(store, ada);
  expect(await ask(store, ada)).toBeUndefined();
  const link = new AbortController();
  const gone = ask(store, bob, link.signal);
  const waits = ask(store, cyd);
  link.abort(new Error('link lost'));
  await expect(gone).rejects.toThrow('link lost');
  store.dropProducer(ada);
  expect(await waits).toBeUndefined();
});

test('content must have the hash it is stored under, and names cannot leave the folder', async () => {
  const folder = givenFolder();
  const store = createBlobStore({ folder });
  const hash = createHash('sha256').update('content').digest('hex');
  await expect(store.writeBlob(hash, ada, Readable.from(['other content']))).rejects.toMatchObject({ code: 'worker.protocol_violation' });
  await store.writeBlob(hash, ada, Readable.from(['content']));
  await store.writeBlob(hash, bob, Readable.from(['content']));
  expect(readdirSync(path.join(folder, hash.slice(0, 2)))).toEqual([hash]);
  expect(readdirSync(folder)).toEqual([hash.slice(0, 2)]);
  const stored = await store.open(hash);
  expect(stored?.bytes).toBe(7);
  stored?.content.destroy();
  for (const name of ['../x', 'a/b', '.hidden', ''])
    await expect(store.readBlob(name, ada, never)).rejects.toMatchObject({ code: 'worker.protocol_violation' });
});
