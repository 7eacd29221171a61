import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { WorkerView } from '@helixcode/protocol/api/views';
import type { Event } from '@helixcode/protocol/event/events';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { readText, snapshotOf } from '../support/hand-in.ts';
import { daemonOf } from '../support/processes.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, newestEvent, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const lostAfterMs = 2_000;
const home = givenHome();
let server: ServerProcess;
let code: { project: string; commit: string };
const stopped = new Set<number>();

beforeAll(async () => {
  server = await startServer(home, { HELIX_WORKERS_HEARTBEAT_MS: '300', HELIX_WORKERS_LOCAL_SLOTS: '1' });
  const folder = path.join(home, 'code');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'a.txt'), 'a\n');
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: folder });
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
  code = await snapshotOf(server.client, folder);
  await server.client.call('workers.add', { body: { name: 'second', transport: 'local', slots: 1 } });
  await workersAreUp(server.client, 2);
}, 60_000);
afterEach(() => {
  for (const pid of stopped) goOn(pid);
});
afterAll(() => removeServer(server), 60_000);

async function submit(command: string, more: Partial<TaskSubmissionInput> = {}, each?: string[]): Promise<string> {
  const spec = { command, ...code, ...(each && { each }) };
  return (await server.client.call('tasks.submit', { body: { kind: 'shell', spec, ...more } as TaskSubmissionInput })).id;
}

/** Stops the daemon of a worker without ending it: the connection stays, and nothing comes any more. Its jobs go on. */
function silence(worker: WorkerView): number {
  const pid = daemonOf(worker.address, worker.id);
  if (pid === undefined) throw new Error(`${worker.name} has no daemon`);
  process.kill(pid, 'SIGSTOP');
  stopped.add(pid);
  return pid;
}

function goOn(pid: number): void {
  if (stopped.delete(pid)) process.kill(pid, 'SIGCONT');
}

const workerOf = async (task: string): Promise<WorkerView> => {
  const { attempt } = await server.client.call('tasks.get', { params: { task } });
  return server.client.call('workers.get', { params: { worker: attempt?.worker ?? '' } });
};
const happens = (task: string, isMeant: (event: Event) => boolean, after = 0): Promise<Event> =>
  eventOf(server, `task:${task}`, isMeant, after);
const isUp = (worker: WorkerView, after: number) =>
  eventOf(server, `worker:${worker.id}`, ({ body }) => body.type === 'worker.moved' && body.to === 'up', after);

test('what ran on a worker that stays silent goes on elsewhere from its last checkpoint, and its late return is not counted [T5] [T8] [W7]', async () => {
  const task = await submit(
    '[ -e n ] || echo 1 >n; echo "n is $(cat n), ${HELIX_CHECKPOINT:-start}"; [ -n "$HELIX_CHECKPOINT" ] || sleep 600',
    {
      policy: { lostAfterMs, checkpoint: { everyMs: 200 } },
    },
  );
  await happens(task, ({ body }) => body.type === 'task.checkpoint');
  const worker = await workerOf(task);
  const before = await newestEvent(server.client);
  const pid = silence(worker);
  const silentAtMs = Date.now();
  // What is over at once is never told of as running.
  const restarted = await happens(
    task,
    ({ body }) => body.type === 'attempt.moved' && body.number === 2 && (body.to === 'running' || body.to === 'exited'),
  );
  const lateMs = Date.parse(restarted.at) - silentAtMs - lostAfterMs;
  if (process.env['HELIX_SHOW_TIMES']) console.log({ lateMs });
  expect(lateMs).toBeLessThan(5_000);
  expect(await taskIsSettled(server, task)).toMatchObject({ state: 'completed', attempt: { number: 2, restoredFrom: 1 } });
  expect(await readText(server.client, task)).toBe('n is 1, 1\n');

  goOn(pid);
  await isUp(worker, before);
  await expect
    .poll(async () => (await server.client.call('tasks.get', { params: { task } })).attempts.map(({ state }) => state))
    .toEqual(['cancelled', 'exited']);
  const moves = (await server.client.call('events.list', { query: { topic: `task:${task}`, limit: 1000 } })).items.filter(
    ({ body }) => body.type === 'task.moved',
  );
  expect(moves.map(({ body }) => body.type === 'task.moved' && body.command)).toEqual(['claim', 'retry', 'claim', 'complete']);
}, 60_000);

test('while the worker of a critical part is silent its siblings stop at a checkpoint, and all go on when it is back [T5]', async () => {
  const go = path.join(home, 'go');
  const task = await submit(
    `c=\${HELIX_CHECKPOINT:-start}; echo "$HELIX_ITEM" >"mine"; echo "$c"; while ! [ -e ${go} ]; do sleep 0.05; done; cat mine`,
    { policy: { critical: true, checkpoint: {} } },
    ['a', 'b'],
  );
  const running = new Set<string>();
  await happens(task, ({ body, task: leaf }) => {
    if (body.type === 'attempt.moved' && body.to === 'running' && leaf) running.add(leaf);
    return running.size === 2;
  });
  const [lost = '', other = ''] = running;
  const worker = await workerOf(lost);
  expect((await workerOf(other)).id).not.toBe(worker.id);
  const pid = silence(worker);
  await happens(task, ({ body, task: leaf }) => leaf === other && body.type === 'task.moved' && body.to === 'paused');
  const paused = await server.client.call('tasks.get', { params: { task } });
  expect(paused).toMatchObject({ state: 'paused', pausedBecause: expect.stringContaining(`its worker ${worker.name} is out of reach`) });
  expect(Object.fromEntries(paused.tree.map(({ id, state }) => [id, state]))).toEqual({ [lost]: 'running', [other]: 'paused' });
  writeFileSync(go, '');
  goOn(pid);
  const end = await taskIsSettled(server, task);
  expect(end).toMatchObject({ state: 'completed', result: { items: 2, failed: 0 } });
  const attempts = await Promise.all(
    [lost, other].map(async (leaf) => (await server.client.call('tasks.get', { params: { task: leaf } })).attempts),
  );
  // The critical part was never started again; its sibling went on from where it was stopped.
  expect(attempts).toMatchObject([
    [{ number: 1, state: 'exited' }],
    [
      { number: 1, state: 'cancelled' },
      { number: 2, state: 'exited', restoredFrom: 1 },
    ],
  ]);
}, 60_000);
