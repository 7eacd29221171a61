import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, readdirSync, rmSync, type Stats } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { WorkerId } from '@helixcode/protocol/ids';
import type { WorkerServices } from '../workers/job-book.ts';

/**
 * Archives that workers hand each other through the server, in `<folder>/<first two letters>/<key>`. A key is the sha256
 * of the content in hex, or names what was made (`setup-…`); the first kind is checked when it is stored.
 */
export interface BlobStore extends Pick<WorkerServices, 'readBlob' | 'writeBlob'> {
  /** The blob's content, `undefined` when it is not stored. Asks nobody to make it. */
  open(key: string): Promise<{ content: Readable; bytes: number } | undefined>;
  /** All that is stored. The time of last use is that of the file: of its storing, or the last reading. */
  list(): Promise<StoredBlob[]>;
  /** @returns false when it was not there */
  remove(key: string): Promise<boolean>;
  /** Says that a worker cannot be reached: what it was making is given to the next that waits for it. */
  dropProducer(worker: WorkerId): void;
}

export interface StoredBlob {
  key: string;
  bytes: number;
  usedAt: Date;
}

export interface BlobStoreOptions {
  folder: string;
  /** Whose unfinished blobs are cleared away: the folder may be shared. */
  owner?: string;
  /** How long one worker may take to make a blob before the next that waits is asked; over the longest set-up. */
  produceWithinMs?: number;
}

interface Production {
  worker: WorkerId;
  timer: NodeJS.Timeout;
  /** The others who asked, in the order in which they did. */
  waiting: { worker: WorkerId; answer: (isProducer: boolean) => void }[];
}

const KEY = /^[A-Za-z0-9][A-Za-z0-9._-]{1,199}$/;
const UNFINISHED = '.new-';
const CONTENT_HASH = /^[0-9a-f]{64}$/;

export function createBlobStore({ folder, owner = '', produceWithinMs = 30 * 60_000 }: BlobStoreOptions): BlobStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const ofOurs = owner === '' ? UNFINISHED : `${UNFINISHED}${owner}-`;
  for (const name of readdirSync(folder)) if (name.startsWith(ofOurs)) rmSync(path.join(folder, name), { force: true });
  const productions = new Map<string, Production>();

  const fileOf = (key: string): string => {
    if (!KEY.test(key)) throw new CodedError('worker.protocol_violation', `${JSON.stringify(key)} is no name of a blob`);
    return path.join(folder, key.slice(0, 2), key);
  };

  const openBlob: BlobStore['open'] = async (key) => {
    try {
      const handle = await open(fileOf(key));
      const { size, atime } = await handle.stat();
      // Its last use, which decides how long it is kept; on a file system that does not take it, it only goes earlier.
      await handle.utimes(atime, new Date()).catch(() => {});
      return { content: handle.createReadStream(), bytes: size };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };

  const produce = (key: string, worker: WorkerId, waiting: Production['waiting']): void => {
    const timer = setTimeout(() => giveToNext(key), produceWithinMs).unref();
    productions.set(key, { worker, timer, waiting });
  };

  const giveToNext = (key: string): void => {
    const production = productions.get(key);
    if (production === undefined) return;
    clearTimeout(production.timer);
    productions.delete(key);
    const next = production.waiting.shift();
    if (next === undefined) return;
    produce(key, next.worker, production.waiting);
    next.answer(true);
  };

  const isStored = (key: string): void => {
    const production = productions.get(key);
    if (production === undefined) return;
    clearTimeout(production.timer);
    productions.delete(key);
    for (const one of production.waiting) one.answer(false);
  };

  return {
    open: openBlob,

    async readBlob(key, worker, signal) {
      for (;;) {
        const blob = await openBlob(key);
        if (blob) return blob.content;
        signal.throwIfAborted();
        const production = productions.get(key);
        if (production === undefined) {
          // Stored while the file was being looked for.
          if (existsSync(fileOf(key))) continue;
          produce(key, worker, []);
          return undefined;
        }
        // A producer that asks again has forgotten that it is one: its daemon was started anew.
        if (production.worker === worker) return undefined;
        if (await turnOf(production, worker, signal)) return undefined;
      }
    },

    async writeBlob(key, worker, content) {
      const file = fileOf(key);
      // A sender that goes away before its bytes are read: `pipeline` tells it when its turn comes.
      content.on('error', () => {});
      await mkdir(path.dirname(file), { recursive: true });
      const unfinished = path.join(folder, `${ofOurs}${randomBytes(8).toString('hex')}`);
      const hash = createHash('sha256');
      const hashing = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          hash.update(chunk);
          done(null, chunk);
        },
      });
      try {
        await pipeline(content, hashing, createWriteStream(unfinished, { mode: 0o600, flush: true }));
        if (CONTENT_HASH.test(key) && hash.digest('hex') !== key)
          throw new CodedError('worker.protocol_violation', `the content sent as blob ${key.slice(0, 12)} has another hash`);
        await rename(unfinished, file);
      } catch (error) {
        await rm(unfinished, { force: true });
        if (productions.get(key)?.worker === worker) giveToNext(key);
        throw error;
      }
      isStored(key);
    },

    async list() {
      const blobs: StoredBlob[] = [];
      for (const shelf of await readdir(folder, { withFileTypes: true })) {
        if (!shelf.isDirectory()) continue;
        for (const key of await readdir(path.join(folder, shelf.name))) {
          const found = await statIfThere(path.join(folder, shelf.name, key));
          if (found?.isFile()) blobs.push({ key, bytes: found.size, usedAt: found.mtime });
        }
      }
      return blobs;
    },

    async remove(key) {
      try {
        await rm(fileOf(key));
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw error;
      }
    },

    dropProducer(worker) {
      for (const [key, production] of [...productions]) if (production.worker === worker) giveToNext(key);
    },
  };
}

async function statIfThere(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** @returns whether the asker is to make the blob itself; false when it is stored by now */
function turnOf(production: Production, worker: WorkerId, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      production.waiting.splice(production.waiting.indexOf(entry), 1);
      reject(signal.reason as Error);
    };
    const entry = {
      worker,
      answer(isProducer: boolean) {
        signal.removeEventListener('abort', leave);
        resolve(isProducer);
      },
    };
    production.waiting.push(entry);
    signal.addEventListener('abort', leave, { once: true });
  });
}
