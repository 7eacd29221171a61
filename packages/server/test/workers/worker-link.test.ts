import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CodedError } from '@helixcode/protocol/errors';
import { type AttemptId, newId } from '@helixcode/protocol/ids';
import type { JobSpec } from '@helixcode/protocol/worker/job';
import type { WorkerServices } from '@helixcode/server/workers/job-book';
import { createOutputWriter, type OutputWriter } from '@helixcode/server/workers/output-writer';
import { type LinkEars, openWorkerLink, type Welcome, type WorkerLink } from '@helixcode/server/workers/worker-link';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenMemoryBook, type MemoryBook } from '../support/memory-book.ts';
import { givenSimulatedWorker, type SimulatedWorker, type SimulatedWorkerOptions } from '../support/simulated-worker.ts';

const worker = newId('worker');
let folder: string;
let book: MemoryBook;
let simulated: SimulatedWorker;
let epoch = 0;
const links: WorkerLink[] = [];
let output: OutputWriter;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helix-link-'));
  book = givenMemoryBook();
  output = createOutputWriter(book);
});
afterEach(async () => {
  for (const link of links.splice(0)) link.close({ code: 'worker.link_lost' } as CodedError);
  await simulated.close();
  rmSync(folder, { recursive: true });
});

const noServices: WorkerServices = {
  openUploadPack: () => Promise.reject(new Error('no git here')),
  readBlob: () => Promise.resolve(undefined),
  writeBlob: () => Promise.reject(new Error('no blobs here')),
  storeCheckpoint: () => Promise.reject(new Error('no checkpoints here')),
  missCheckpoint: () => {},
};

function aJob(command: string): JobSpec {
  return { command, env: {}, killGraceMs: 100, outputLimitBytes: 1e9 };
}

async function givenWorker(options: Omit<SimulatedWorkerOptions, 'socketPath'> = {}): Promise<void> {
  simulated = await givenSimulatedWorker({ socketPath: join(folder, 'w.sock'), ...options });
}

interface OpenedLink {
  link: WorkerLink;
  welcome: Welcome;
  closed: Promise<CodedError>;
  missed: number[];
}

async function givenLink(
  options: { slots?: number; heartbeatMs?: number; services?: WorkerServices; epoch?: number; onMissed?: () => void } = {},
): Promise<OpenedLink> {
  const socket = connect(join(folder, 'w.sock'));
  const closed = Promise.withResolvers<CodedError>();
  const welcome = Promise.withResolvers<Welcome>();
  const missed: number[] = [];
  const ears: LinkEars = {
    onWelcome: welcome.resolve,
    onBeat: () => {},
    onFacts: () => {},
    onMissed: (beats) => {
      missed.push(beats);
      options.onMissed?.();
    },
    onClose(error) {
      closed.resolve(error);
      welcome.reject(error);
    },
  };
  const link = openWorkerLink(
    socket,
    {
      worker,
      workerName: 'sim',
      serverId: 'srv',
      epoch: options.epoch ?? ++epoch,
      heartbeatMs: options.heartbeatMs ?? 10_000,
      welcomeTimeoutMs: 5_000,
      slots: () => options.slots ?? 100,
      book,
      services: options.services ?? noServices,
      output,
      log: pino({ level: 'silent' }),
    },
    ears,
  );
  links.push(link);
  return { link, welcome: await welcome.promise, closed: closed.promise, missed };
}

function assign({ link }: OpenedLink, command: string): AttemptId {
  const attempt = newId('attempt');
  book.want(worker, attempt, aJob(command));
  link.assign(attempt, aJob(command), {});
  return attempt;
}

test.each([true, false])(
  'a short job ends with its output and exit code on the books, and is forgotten (inline: %s)',
  async (sendsInline) => {
    await givenWorker({ sendsInline, exitCodeOf: () => 3 });
    const link = await givenLink();
    const attempt = assign(link, 'echo hello');

    expect(await book.whenComplete(attempt)).toMatchObject({ state: 'exited', exitCode: 3 });
    expect(book.outputOf(attempt).toString()).toBe('echo hello\n');
    await expect.poll(() => simulated.forgotten).toEqual([attempt]);
    expect(simulated.heard.some(({ t }) => t === 'open')).toBe(!sendsInline);
  },
);

test('what comes through a channel and again in the report of the end is stored once', async () => {
  await givenWorker({ sendsInline: true, jobMs: 100 });
  const link = await givenLink();
  const attempt = assign(link, 'sleep 0.1; echo hello');

  await book.whenComplete(attempt);

  expect(simulated.heard.some(({ t }) => t === 'open')).toBe(true);
  expect(book.outputOf(attempt).toString()).toBe('sleep 0.1; echo hello\n');
  await expect.poll(() => simulated.forgotten).toEqual([attempt]);
});

test('a worker runs no more jobs at once than it has slots; the next begins when one is over', async () => {
  await givenWorker({ jobMs: 20 });
  const link = await givenLink({ slots: 2 });
  const attempts = Array.from({ length: 6 }, (_, n) => assign(link, `echo ${n}`));
  expect(link.link.liveJobs()).toBe(6);

  for (const attempt of attempts) expect(await book.whenComplete(attempt)).toMatchObject({ state: 'exited', exitCode: 0 });

  expect(simulated.started).toEqual(attempts);
  expect(simulated.mostRunning).toBe(2);
});

test('a job that waits for a slot behind one that does not end is given back, never having begun', async () => {
  await givenWorker({ jobMs: 60_000 });
  const link = await givenLink({ slots: 1 });
  const [hanging, waiting] = [assign(link, 'sleep 60'), assign(link, 'true')];

  expect(await book.whenComplete(waiting)).toMatchObject({ state: 'refused', reason: { code: 'job.recalled' } });
  expect(simulated.started).toEqual([hanging]);
});

test('a job that waits for a slot is cancelled without ever reaching the worker', async () => {
  await givenWorker({ jobMs: 60_000 });
  const link = await givenLink({ slots: 1 });
  const [hanging, waiting] = [assign(link, 'sleep 60'), assign(link, 'true')];
  link.link.cancel(waiting, 0);

  expect(await book.whenComplete(waiting)).toMatchObject({ state: 'cancelled' });
  await expect.poll(() => simulated.started).toEqual([hanging]);
});

test('output of any size arrives whole, never more than a window of it unacknowledged', async () => {
  const content = randomBytes(5_000_000);
  await givenWorker({ outputOf: () => content, jobMs: 5 });
  const attempt = assign(await givenLink(), 'cat big');

  await book.whenComplete(attempt);

  expect(book.outputOf(attempt).equals(content)).toBe(true);
});

test('a job whose output broke off with the link goes on from the stored byte at the next link', async () => {
  const content = randomBytes(8_000_000);
  await givenWorker({ outputOf: () => content, jobMs: 5 });
  const attempt = assign(await givenLink(), 'cat big');
  await book.whenStored(attempt, 1);
  simulated.dropLinks();

  await givenLink();
  await book.whenComplete(attempt);

  expect(book.outputOf(attempt).equals(content)).toBe(true);
  expect(simulated.started).toEqual([attempt]);
  await expect.poll(() => simulated.forgotten).toEqual([attempt]);
});

test('bytes of a broken link that are still being stored are not fetched and stored beside them', async () => {
  const content = randomBytes(3_000_000);
  await givenWorker({ outputOf: () => content, jobMs: 5 });
  const slowly = book.storeOutput;
  book.storeOutput = async (pieces) => {
    await sleep(60);
    return slowly(pieces);
  };
  const attempt = assign(await givenLink(), 'cat big');
  for (let drop = 0; drop < 3; drop++) {
    await book.whenStored(attempt, (drop + 1) * 65_536);
    simulated.dropLinks();
    await givenLink();
  }
  await book.whenComplete(attempt);

  expect(book.outputOf(attempt).equals(content)).toBe(true);
});

test('what was assigned while there was no link is sent by the next one, and what was to be cancelled is cancelled', async () => {
  await givenWorker({ jobMs: 60_000 });
  const first = await givenLink();
  const running = assign(first, 'sleep 60');
  await expect.poll(() => simulated.started).toEqual([running]);
  simulated.dropLinks();
  await first.closed;
  const [waiting, neverSent] = [newId('attempt'), newId('attempt')];
  book.want(worker, waiting, aJob('sleep 61'));
  book.want(worker, neverSent, aJob('sleep 62'));
  for (const id of [running, neverSent]) Object.assign(book.attempts.get(id) ?? {}, { cancelAsked: true });

  await givenLink();

  expect(await book.whenComplete(running)).toMatchObject({ state: 'cancelled' });
  expect(await book.whenComplete(neverSent)).toMatchObject({ state: 'cancelled' });
  await expect.poll(() => simulated.started).toEqual([running, waiting]);
});

test('a job that began and that its worker no longer knows is lost, not run a second time', async () => {
  await givenWorker();
  const attempt = newId('attempt');
  book.want(worker, attempt, aJob('rm -rf ~/.helix-worker'));
  Object.assign(book.attempts.get(attempt) ?? {}, { report: { attempt, state: 'running', streams: {} } });

  await givenLink();

  expect(await book.whenComplete(attempt)).toMatchObject({ state: 'lost', reason: { code: 'job.lost' } });
  expect(simulated.started).toEqual([]);
});

test('a job nobody wants any more is stopped and forgotten', async () => {
  await givenWorker({ jobMs: 60_000 });
  const first = await givenLink();
  const attempt = assign(first, 'sleep 60');
  await expect.poll(() => simulated.started).toEqual([attempt]);
  simulated.dropLinks();
  book.attempts.delete(attempt);

  await givenLink();

  await expect.poll(() => simulated.forgotten).toEqual([attempt]);
  expect(simulated.cancelled).toEqual([attempt]);
});

test('a worker that falls silent is degraded after a beat and dropped after three', async () => {
  await givenWorker();
  const { closed, missed } = await givenLink({ heartbeatMs: 40 });
  simulated.hang(true);

  expect(await closed).toMatchObject({ code: 'worker.link_lost', message: expect.stringContaining('silent') });
  expect(missed).toEqual([1, 2]);
});

test('a worker that was silent for a beat and speaks again is well again', async () => {
  await givenWorker();
  const { missed } = await givenLink({ heartbeatMs: 60, onMissed: () => simulated.hang(false) });
  simulated.hang(true);

  await expect.poll(() => missed).toEqual([1, 0]);
});

test('the newer of two links wins, and the older learns of it', async () => {
  await givenWorker();
  const first = await givenLink();
  await givenLink();

  expect(await first.closed).toMatchObject({ code: 'worker.stale_epoch' });
  await expect(givenLink({ epoch: 0 })).rejects.toMatchObject({ code: 'worker.stale_epoch' });
});

test('an output that skips bytes ends the link instead of leaving a hole', async () => {
  await givenWorker({ jobMs: 60_000 });
  const opened = await givenLink();
  assign(opened, 'sleep 60');
  await expect.poll(() => simulated.heard.some(({ t }) => t === 'open')).toBe(true);
  const open = simulated.heard.find((message) => message.t === 'open');
  simulated.link()?.sendData(open?.ch ?? 0, 7, Buffer.from('late'));

  expect(await opened.closed).toMatchObject({ code: 'worker.protocol_violation' });
});

interface TunnelRun {
  received: Promise<Buffer>;
  error: Promise<string | undefined>;
}

/** Sends `content` and then eof through a tunnel, and gathers the answer, both within the windows. */
function runTunnel(ch: number, service: 'upload-pack' | 'blob-get' | 'blob-put', content: Buffer): TunnelRun {
  const link = simulated.link();
  if (!link) throw new Error('no link');
  const received = Promise.withResolvers<Buffer>();
  const error = Promise.withResolvers<string | undefined>();
  const parts: Buffer[] = [];
  let sent = 0;
  let acked = 0;
  let isEnded = false;
  const pump = (): void => {
    while (sent < content.length && sent - acked < 1024 * 1024) {
      const piece = content.subarray(sent, sent + Math.min(65_536, 1024 * 1024 - (sent - acked)));
      link.sendData(ch, sent, piece);
      sent += piece.length;
    }
    if (sent === content.length && !isEnded) {
      isEnded = true;
      link.send({ t: 'eof', ch });
    }
  };
  link.onChannel(ch, {
    data(offset, bytes) {
      parts.push(Buffer.from(bytes));
      link.send({ t: 'ack', ch, upto: offset + bytes.length });
    },
    message(message) {
      if (message.t === 'ack') {
        acked = message.upto;
        pump();
      }
      if (message.t === 'eof') {
        received.resolve(Buffer.concat(parts));
        error.resolve(undefined);
      }
      if (message.t === 'close') {
        received.resolve(Buffer.concat(parts));
        error.resolve(message.error ?? 'closed');
      }
    },
  });
  link.send({ t: 'tunnel', ch, service, name: 'thing' });
  pump();
  return { received: received.promise, error: error.promise };
}

test('tunnels carry megabytes both ways at once, each direction ending by itself', async () => {
  await givenWorker();
  const echo: WorkerServices = {
    ...noServices,
    openUploadPack: () => {
      const pipe = new PassThrough();
      return Promise.resolve({ input: pipe, output: pipe, close: () => pipe.destroy() });
    },
  };
  await givenLink({ services: echo });
  const contents = [1, 3, 5, 7].map(() => randomBytes(3_000_000));
  const runs = contents.map((content, index) => runTunnel(index * 2 + 1, 'upload-pack', content));

  for (const [index, run] of runs.entries()) expect((await run.received).equals(contents[index] ?? Buffer.of())).toBe(true);
});

test('a blob comes through a tunnel, one that is not there is said to be absent, and a stored one is confirmed', async () => {
  await givenWorker();
  const stored: Buffer[] = [];
  const blob = randomBytes(2_500_000);
  let has = true;
  await givenLink({
    services: {
      ...noServices,
      readBlob: () => Promise.resolve(has ? Readable.from([blob]) : undefined),
      async writeBlob(_key, _worker, content) {
        for await (const piece of content) stored.push(piece as Buffer);
      },
    },
  });

  const got = runTunnel(1, 'blob-get', Buffer.of());
  expect((await got.received).equals(blob)).toBe(true);
  has = false;
  expect(await runTunnel(3, 'blob-get', Buffer.of()).error).toBe('absent');
  expect(await runTunnel(5, 'blob-put', blob).error).toBeUndefined();
  expect(Buffer.concat(stored).equals(blob)).toBe(true);
});

test('a service that fails tells the worker why', async () => {
  await givenWorker();
  await givenLink();
  expect(await runTunnel(1, 'upload-pack', Buffer.from('hello')).error).toContain('no git here');
});
