import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ABSENT, type RunRequest } from '@helixcode/agent/workspace';
import type { AttemptId } from '@helixcode/protocol/ids';
import { openWorkspace } from '@helixcode/server/workers/remote-workspace';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { workspaceSuite } from '../../../agent/test/support/workspace-suite.ts';
import { type GivenSeat, givenCode, givenSeat } from '../support/given-seat.ts';
import { daemonOf, givenWorkerTest, type WorkerTest } from '../support/ssh-workers.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const never = new AbortController().signal;
const hashOf = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');
const textOf = (part: Uint8Array): string => Buffer.from(part).toString();
const order = (command: string, more: Partial<RunRequest> = {}): RunRequest => ({
  command,
  folder: '',
  timeoutMs: 60_000,
  headBytes: 2_000,
  tailBytes: 2_000,
  maxOutputBytes: 64_000_000,
  ...more,
});

let given: WorkerTest;
let worker: WorkerSupervisor;
let code: ReturnType<typeof givenCode>;

beforeAll(async () => {
  given = await givenWorkerTest();
  code = givenCode(given.folder);
  await begin();
});
afterAll(async () => {
  await given.clean();
  await given.end();
});

/** A server that begins; the one before it, if there is one, has ended. */
async function begin(): Promise<void> {
  await given.restart({ workers: { local: true, localSlots: 50 }, services: code.services });
  worker = given.registry.find('local');
  await given.registry.whenState(worker, 'up');
}

const seated = (files: Record<string, string | Uint8Array> = {}): Promise<GivenSeat> =>
  givenSeat({ pool: given.registry, book: given.book, worker, commit: code.commit }, files);

async function leave(attempt: AttemptId): Promise<void> {
  given.registry.cancel(worker.row.id, attempt, 200);
  await given.book.whenComplete(attempt);
}

/** Processes of this machine that carry the mark of a command. */
function processesOf(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HELIX_COMMAND=${mark}`);
    } catch {
      return false;
    }
  });
}

const until = (isTrue: () => boolean): Promise<void> => expect.poll(isTrue, { timeout: 30_000, interval: 10 }).toBe(true);

workspaceSuite('the checkout of a job on a worker', async (files) => {
  const { attempt, workspace } = await seated(files);
  return {
    workspace: workspace.forCall(attempt),
    link: async (path, target) => symlinkSync(target, join(workspace.root, path)),
    [Symbol.asyncDispose]: () => leave(attempt),
  };
});

test('a file of 10 MB goes there and comes back, whole', async () => {
  const { attempt, workspace } = await seated();
  const call = workspace.forCall('c');
  const content = Buffer.alloc(10 * 1024 * 1024, 'äbc\0');
  expect(await call.writeFile('deep/er/large.bin', content, ABSENT)).toBe(hashOf(content));
  const read = await call.readFile('deep/er/large.bin', content.length);
  expect(read.hash).toBe(hashOf(content));
  expect(Buffer.compare(read.bytes, content)).toBe(0);
  await leave(attempt);
});
