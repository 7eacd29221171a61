import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { MergeEntryId, MergeQueueId, ProjectId, TaskId } from '@helixcode/protocol/ids';
import type { MergeQueueView } from '@helixcode/protocol/merge/merge-view';
import { type Db, openDb } from '@helixcode/server/db/db';
import { createMergeQueues, type MergeQueues } from '@helixcode/server/merge/merge-queues';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenRepository, type TestRepository } from '../../packages/server/test/projects/repository.ts';
import { givenEmptyDatabase } from '../../packages/server/test/support/database.ts';
import { sendHead, snapshotOf } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, taskIsSettled, workersAreUp } from '../support/wait-for.ts';

const home = givenHome();
let database: { url: string; drop(): Promise<void> };
let server: ServerProcess;
let db: Db;
/** Those of a second server, which enters changes and does nothing more: the first one has to find them. */
let queues: MergeQueues;

const start = (): Promise<ServerProcess> => startServer(home, { DATABASE_URL: database.url, HELIX_WORKERS_LOCAL_SLOTS: '4' });

beforeAll(async () => {
  database = await givenEmptyDatabase();
  server = await start();
  db = openDb(database.url);
  queues = createMergeQueues({
    db,
    mirrors: createMirrors(path.join(home, 'repos'), { owner: 'second' }),
    log: pino({ level: 'silent' }),
    isFirst: () => false,
    verify: ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    wakeEvents: () => {},
    wakeDriver: () => {},
  });
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(async () => {
  await queues.stop();
  await removeServer(server);
  await db.close();
  await database.drop();
}, 60_000);

interface Given {
  repository: TestRepository;
  project: ProjectId;
  base: string;
  root: TaskId;
  queue: MergeQueueId;
  /** Hands in a change of the base. */
  enter(title: string, files: Record<string, string>): Promise<MergeEntryId>;
  /** Hands in another one for the same entry. */
  enterAgain(entry: MergeEntryId, files: Record<string, string>): Promise<void>;
}

/** A task that goes on, and a queue for its changes to a project with a suite of node:test. */
async function givenQueue(files: Record<string, string>): Promise<Given> {
  const repository = givenRepository();
  const base = repository.commit({ 'package.json': JSON.stringify({ type: 'module', scripts: { test: 'node --test' } }), ...files });
  const source = await snapshotOf(server.client, repository.folder);
  const project = source.project as ProjectId;
  const { id } = await server.client.call('tasks.submit', {
    body: { kind: 'shell', spec: { command: 'sleep 600' }, name: 'several agents' },
  });
  const root = id as TaskId;
  const { id: queue } = await queues.openQueue({ root, project, base });
  const commitOf = async (changed: Record<string, string>): Promise<string> => {
    repository.git('checkout', '--quiet', '--detach', base);
    repository.commit(changed);
    return sendHead(server.client, project, repository.folder);
  };
  return {
    repository,
    project,
    base,
    root,
    queue,
    async enter(title, changed) {
      const commit = await commitOf(changed);
      return (await queues.enter({ queue, key: title, title, commit, task: root })).entry;
    },
    async enterAgain(entry, changed) {
      await queues.enterAgain(entry, { after: 1, commit: await commitOf(changed) });
    },
  };
}

/** The entry once it is in that state, be it now. */
async function becomes({ root }: Given, entry: MergeEntryId, to: string): Promise<MergeQueueView['entries'][number]> {
  await eventOf(server, `task:${root}`, ({ body }) => body.type === 'merge.moved' && body.entry === entry && body.to === to);
  const { items } = await server.client.call('tasks.merges', { params: { task: root } });
  const found = items.flatMap(({ entries }) => entries).find(({ id }) => id === entry);
  if (!found) throw new Error(`entry ${entry} is in no queue`);
  return found;
}

/** Tasks of the server that verify something under that title. */
async function checksOf(title: string): Promise<{ id: string; state: string }[]> {
  const { items } = await server.client.call('tasks.list', { query: {} });
  return items.filter(({ name }) => name === `verify: ${title}`);
}

const adds = (a: number, b: number, sum: number): string =>
  `import { test } from 'node:test';\nimport assert from 'node:assert';\nimport { add } from '../add.js';\ntest('adds', () => {\n  assert.equal(add(${a}, ${b}), ${sum});\n});\n`;

test('what is merged has passed the suite of the project on the workers, with a receipt; what breaks it goes back with file and line [F5] [F1] [F2]', async () => {
  const given = await givenQueue({ 'add.js': 'export const add = (a, b) => a + b;\n', 'test/one.test.js': adds(1, 1, 2) });
  // They touch different files: only the suite sees that they do not fit together.
  const first = await given.enter('add texts', {
    'add.js': 'export const add = (a, b) => `${a}` + `${b}`;\n',
    'test/one.test.js': adds(1, 1, 11).replace('11)', '"11")'),
  });
  const second = await given.enter('test more sums', { 'test/two.test.js': adds(2, 2, 4) });

  const merged = await becomes(given, first, 'merged');
  const { receipt } = await server.client.call('receipts.get', { params: { receipt: merged.receipts[0] ?? '' } });
  expect(receipt).toMatchObject({ kind: 'test', commit: merged.merged, tests: { tests: 1, passed: 1, failed: 0 } });

  const back = await becomes(given, second, 'conflict');
  expect(back.returned).toMatchObject({
    why: 'verification',
    onto: merged.merged,
    summary: expect.stringContaining('test/two.test.js:5 adds'),
  });
  await given.enterAgain(second, { 'test/two.test.js': adds(2, 2, 22).replace('22)', '"22")') });
  const { receipts } = await becomes(given, second, 'merged');
  expect(receipts).toHaveLength(1);

  const shown = await helix(home, ['tasks', 'merges', given.root]);
  expect(JSON.parse(shown.stdout)).toMatchObject({
    items: [
      {
        entries: [
          { title: 'add texts', state: 'merged', try: 1 },
          { title: 'test more sums', state: 'merged', try: 2 },
        ],
      },
    ],
  });
  await server.client.call('tasks.cancel', { params: { task: given.root } });
}, 120_000);

test('a server killed while it verifies goes on with the same task, and merges once; a cancelled tree takes its checks along [F3]', async () => {
  const go = path.join(home, 'go');
  const given = await givenQueue({
    'test/slow.test.js': `import { test } from 'node:test';\nimport { existsSync } from 'node:fs';\ntest('waits', async () => {\n  while (!existsSync('${go}')) await new Promise((resolve) => setTimeout(resolve, 50));\n});\n`,
  });
  const first = await given.enter('first of two', { 'a.txt': 'a\n' });
  await becomes(given, first, 'verifying');
  await expect.poll(() => checksOf('first of two')).toMatchObject([{ state: 'running' }]);
  await server.kill();
  server = await start();
  writeFileSync(go, '');
  await becomes(given, first, 'merged');
  expect(await checksOf('first of two')).toMatchObject([{ state: 'completed' }]);

  const second = await given.enter('second of two', {
    'test/slow.test.js': "import { test } from 'node:test';\ntest('hangs', () => new Promise(() => setInterval(() => {}, 1000)));\n",
  });
  await becomes(given, second, 'verifying');
  await expect.poll(() => checksOf('second of two')).toMatchObject([{ state: 'running' }]);
  await server.client.call('tasks.cancel', { params: { task: given.root } });
  expect(await becomes(given, second, 'refused')).toMatchObject({ failure: { code: 'merge.closed' } });
  const [check] = await checksOf('second of two');
  expect(await taskIsSettled(server, check?.id ?? '')).toMatchObject({ state: 'cancelled' });
}, 120_000);
