import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Event } from '@helixcode/protocol/event/events';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readText, snapshotOf } from '../support/hand-in.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, outputReaches, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const home = givenHome();
let server: ServerProcess;
let code: { project: string; commit: string };

beforeAll(async () => {
  server = await startServer(home, { HELIX_WORKERS_HEARTBEAT_MS: '500' });
  const folder = path.join(home, 'code');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'a.txt'), 'a\n');
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: folder });
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
  code = await snapshotOf(server.client, folder);
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(() => removeServer(server), 60_000);

async function submit(command: string, more: Partial<TaskSubmissionInput> = {}): Promise<string> {
  const { id } = await server.client.call('tasks.submit', {
    body: { kind: 'shell', spec: { command, ...code }, ...more } as TaskSubmissionInput,
  });
  return id;
}

const checkpointsOf = async (task: string) => (await server.client.call('tasks.checkpoints', { params: { task } })).items;
const happens = (task: string, isMeant: (event: Event) => boolean): Promise<Event> => eventOf(server, `task:${task}`, isMeant);

test('a named checkpoint is listed with its size, and the task goes back to it as often as it is asked to [T4] [T6]', async () => {
  const task = await submit('[ -e n ] || { echo 1 >n; }; echo "n is $(cat n) at ${HELIX_CHECKPOINT:-start}"; sleep 600');
  await outputReaches(server.client, task, 1);
  const { items } = await server.client.call('tasks.checkpoint', { params: { task }, body: { name: 'before' } });
  expect(items).toMatchObject([{ task, number: 1, name: 'before', cause: 'asked', files: 1, leftOutCount: 0, attempt: 1 }]);
  expect(items[0]?.bundleBytes).toBeGreaterThan(100);
  expect(await checkpointsOf(task)).toEqual(items);

  for (const number of [2, 3]) {
    await server.client.call('tasks.rollback', { params: { task }, body: { to: number === 2 ? 'before' : 1 } });
    await happens(task, ({ body }) => body.type === 'attempt.moved' && body.number === number && body.to === 'running');
    await outputReaches(server.client, task, 'n is 1 at 1\n'.length);
    expect(await server.client.call('tasks.get', { params: { task } })).toMatchObject({
      state: 'running',
      attempt: { number, restoredFrom: 1 },
    });
  }
  await server.client.call('tasks.rollback', { params: { task }, body: { to: 0 } });
  await happens(task, ({ body }) => body.type === 'attempt.moved' && body.number === 4 && body.to === 'running');
  await outputReaches(server.client, task, 'n is 1 at start\n'.length);
  await server.client.call('tasks.cancel', { params: { task } });
  // Nothing of what was is forgotten.
  expect((await taskIsSettled(server, task)).attempts).toHaveLength(4);
  expect(await checkpointsOf(task)).toHaveLength(1);
  await expect(server.client.call('tasks.rollback', { params: { task }, body: { to: 7 } })).rejects.toMatchObject({
    code: 'checkpoint.not_found',
  });
});

test('a retry begins at the last checkpoint before the failure; what the failed command left is kept to look at [T6]', async () => {
  const task = await submit(
    'n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n; echo "try $n"; [ $n = 1 ] && exit 0; while ! [ -e "$HELIX_OUTPUT_DIR/go" ]; do sleep 0.02; done; echo broken >n; exit 1',
    { policy: { maxAttempts: 2, backoffMs: 0, checkpoint: {} } },
  );
  await outputReaches(server.client, task, 'try 0\n'.length);
  await server.client.call('tasks.checkpoint', { params: { task }, body: {} });
  const { attempt } = await server.client.call('tasks.get', { params: { task } });
  const [folder = ''] = globSync(path.join(home, 'local/**/jobs', attempt?.id ?? ''));
  writeFileSync(path.join(folder, 'files', 'go'), '');
  const end = await taskIsSettled(server, task);
  expect(end).toMatchObject({
    state: 'completed',
    attempts: [
      { number: 1, exitCode: 1 },
      { number: 2, exitCode: 0, restoredFrom: 1 },
    ],
  });
  expect(await readText(server.client, task)).toBe('try 1\n');
  expect((await checkpointsOf(task)).map(({ cause, attempt }) => [cause, attempt])).toEqual([
    ['asked', 1],
    ['end', 1],
  ]);
});

test('of automatic checkpoints only so many are kept, and named ones always; the list still tells of those dropped [T4]', async () => {
  const task = await submit('n=0; while :; do n=$((n+1)); echo $n >n; sleep 0.05; done', {
    policy: { checkpoint: { everyMs: 100, keep: 2 } },
  });
  await happens(task, ({ body }) => body.type === 'task.checkpoint' && body.number === 1);
  await server.client.call('tasks.checkpoint', { params: { task }, body: { name: 'mine' } });
  await happens(task, ({ body }) => body.type === 'task.checkpoint' && body.number === 6);
  await server.client.call('tasks.cancel', { params: { task } });
  await expect.poll(async () => (await server.client.call('tasks.get', { params: { task } })).attempt?.state).toBe('cancelled');
  const items = await checkpointsOf(task);
  const kept = items.filter(({ droppedAt }) => droppedAt === undefined);
  expect(kept.filter(({ cause }) => cause !== 'asked').length).toBe(2);
  expect(kept.filter(({ name }) => name === 'mine')).toHaveLength(1);
  expect(items.length).toBeGreaterThan(kept.length);
  const refs = execFileSync(
    'git',
    [`--git-dir=${path.join(home, 'repos', `${code.project}.git`)}`, 'for-each-ref', '--format=%(refname)', `refs/helix/tasks/${task}/`],
    {
      encoding: 'utf8',
    },
  );
  expect(refs.trim().split('\n').sort()).toEqual(kept.map(({ number }) => `refs/helix/tasks/${task}/${number}`).sort());
});

test('what cannot be recorded is refused with the reason', async () => {
  const { id } = await server.client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'echo x; sleep 600' } } });
  await outputReaches(server.client, id, 1);
  await expect(server.client.call('tasks.checkpoint', { params: { task: id }, body: {} })).rejects.toMatchObject({
    code: 'checkpoint.refused',
    message: expect.stringContaining('without a checkout'),
  });
  await server.client.call('tasks.cancel', { params: { task: id } });
});
