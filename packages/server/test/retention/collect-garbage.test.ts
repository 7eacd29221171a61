import { createHash } from 'node:crypto';
import { readdirSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { helixConfig } from '@helixcode/protocol/config/helix-config';
import { type AttemptId, newId, type ProjectId, type TaskId } from '@helixcode/protocol/ids';
import { type DriverArchive, type DurableEngine, openDurableEngine } from '@helixcode/server/engine/durable-engine';
import { createEventTail } from '@helixcode/server/events/event-tail';
import { createMergeQueues } from '@helixcode/server/merge/merge-queues';
import { createBlobStore } from '@helixcode/server/projects/blob-store';
import { createCheckpointRefs } from '@helixcode/server/projects/checkpoint-refs';
import { MERGE_REFS } from '@helixcode/server/projects/merge-refs';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { insertProject, noteSnapshot } from '@helixcode/server/projects/project-sql';
import { takeSnapshot } from '@helixcode/server/projects/take-snapshot';
import { collectGarbage, type GarbageDeps } from '@helixcode/server/retention/collect-garbage';
import { startRetention } from '@helixcode/server/retention/retention-loop';
import { tryLockSweep } from '@helixcode/server/retention/retention-sql';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { givenFolder, givenRepository } from '../projects/repository.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenTasks, givenTasks } from '../support/given-tasks.ts';

const log = pino({ level: 'silent' });
const worker = newId('worker');
const oldDays = 100;
let database: TestDatabase;
let engine: DurableEngine & DriverArchive;
let tasks: GivenTasks;

beforeAll(async () => {
  database = await givenDatabase();
  engine = await openDurableEngine({ databaseUrl: database.url, serverId: newId('server'), log, turn: async () => ({ over: true }) });
});
afterAll(async () => {
  await engine.close();
  await database.drop();
});
beforeEach(async () => {
  // Before anything looks at the tables: the locks of both could wait for each other.
  await database.db.query('truncate snapshots, build_cache, projects cascade');
  tasks = await givenTasks(database);
  onTestFinished(() => tasks.end());
});

/** A server's things in a folder of their own, and sweeps with the default limits except those given. */
function givenKept(limits: Record<string, number> = {}) {
  const folder = givenFolder();
  const mirrors = createMirrors(path.join(folder, 'repos'));
  const blobs = createBlobStore({ folder: path.join(folder, 'blobs') });
  onTestFinished(() => mirrors.settled());
  const deps: GarbageDeps = {
    db: database.db,
    log,
    mirrors,
    blobs,
    retention: helixConfig.parse({ retention: limits }).retention,
    engine: Promise.resolve(engine),
    workers: { tidy: async () => [] },
  };
  return {
    deps,
    mirrors,
    blobs,
    sweep: async (options = { dryRun: false }) => (await collectGarbage(deps, options)).items.filter(({ count }) => count > 0),
    async storeOldBlob(content: string): Promise<string> {
      const key = createHash('sha256').update(content).digest('hex');
      await blobs.writeBlob(key, worker, Readable.from([content]));
      utimesSync(path.join(folder, 'blobs', key.slice(0, 2), key), daysAgo(oldDays), daysAgo(oldDays));
      return key;
    },
  };
}

const daysAgo = (days: number): Date => new Date(Date.now() - days * 86_400_000);

/** A task that has printed 1,000 bytes, and is over where it is given an exit status. */
async function givenTask(
  source: { project?: string; commit?: string } = {},
  exitCode?: number,
): Promise<{ id: TaskId; attempt: AttemptId }> {
  const task = await tasks.submit({ kind: 'shell', spec: { command: 'print', ...source } });
  const { attempt } = await tasks.pool.nextAssigned();
  await tasks.book.storeOutput([{ attempt, stream: 'out', offset: 0, bytes: Buffer.alloc(1_000, 'x') }]);
  if (exitCode !== undefined) {
    await tasks.report(attempt, { exitCode, streams: { out: 1_000 } });
    await tasks.until(task, exitCode === 0 ? 'completed' : 'failed');
  }
  return { id: task.id, attempt };
}

/** Everything about a tree, as if it had been handed in so long ago. */
async function age(root: TaskId, days: number): Promise<void> {
  const { db } = database;
  const at = daysAgo(days);
  await db.query(
    `update distributed_tasks set created_at = $2, finished_at = case when finished_at is null then null else $2::timestamptz end where root_id = $1`,
    [root, at],
  );
  await db.query(`update events set at = $2 where root_id = $1`, [root, at]);
}

async function countOf(
  table: 'output_chunks' | 'events' | 'distributed_tasks' | 'task_checkpoints' | 'snapshots' | 'build_cache',
): Promise<number> {
  return (await database.db.query<{ count: number }>(`select count(*)::int as count from ${table}`)).rows[0]?.count ?? 0;
}

test('of an old finished tree output, checkpoints, commits, archives, events and drivers go; of one that runs nothing; a dry run says so before [T4]', async () => {
  const { db } = database;
  const kept = givenKept({ workflowDays: 0 });
  const repository = givenRepository();
  const project = newId('project') as ProjectId;
  await insertProject(db, { id: project, name: 'crane', source: null, default_branch: null });
  const hand = async (file: string): Promise<string> => {
    repository.git('checkout', '--quiet', '--orphan', file);
    const commit = repository.commit({ [`${file}.txt`]: file.repeat(100) });
    await noteSnapshot(db, project, commit);
    await takeSnapshot(kept.mirrors, project, commit, Readable.from([repository.bundle(file)]));
    return commit;
  };
  const [oldCommit, liveCommit] = [await hand('old'), await hand('live')];
  await db.query(`update snapshots set used_at = $1`, [daysAgo(oldDays)]);

  const old = await givenTask({ project, commit: oldCommit }, 1);
  const live = await givenTask({ project, commit: liveCommit });
  const refs = createCheckpointRefs(kept.mirrors);
  for (const [task, file] of [
    [old, 'old'],
    [live, 'live'],
  ] as const) {
    const commit = repository.git('rev-parse', file);
    await refs.keep(project, task.id, 1, commit, Readable.from([repository.bundle(file)]), 10_000);
    await db.query(
      `insert into task_checkpoints (task_id, number, attempt_id, cause, commit_hash, files, bundle_bytes, took_ms, left_out, left_out_count)
       values ($1, 1, $2, 'interval', $3, 1, 500, 1, '[]', 0)`,
      [task.id, task.attempt, commit],
    );
  }
  await age(old.id, oldDays);
  await age(live.id, oldDays - 1);
  const [oldBlob, liveBlob] = [await kept.storeOldBlob('what was built'), await kept.storeOldBlob('what is being built')];
  await db.query(`update task_attempts set outputs_blob = $2 where id = $1`, [live.attempt, liveBlob]);
  for (const blob of [oldBlob, liveBlob])
    await db.query(`insert into build_cache (key, blob, used_at) values ($1, $1, $2)`, [blob, daysAgo(oldDays)]);
  for (const task of [old, live]) await engine.start(`${task.id}.1`);
  while ((await engine.listOver(new Date(Date.now() + 1_000), 10, 0)).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));

  // What nobody refers to is removed once it is a day old.
  const objects = path.join(kept.mirrors.folderOf(project), 'objects');
  for (const file of readdirSync(objects, { recursive: true }) as string[]) utimesSync(path.join(objects, file), daysAgo(2), daysAgo(2));

  const before = [await countOf('output_chunks'), await countOf('events'), (await kept.blobs.list()).length];
  const promised = await kept.sweep({ dryRun: true });
  expect([await countOf('output_chunks'), await countOf('events'), (await kept.blobs.list()).length]).toEqual(before);

  const oldEvents = (await db.query<{ count: number }>(`select count(*)::int as count from events where root_id = $1`, [old.id])).rows[0]
    ?.count;
  expect(promised.map(({ kind, count }) => [kind, count])).toEqual([
    ['output', 1],
    ['checkpoints', 1],
    ['snapshots', 1],
    ['blobs', 1],
    ['events', oldEvents],
    ['workflows', 1],
  ]);
  expect(await kept.sweep()).toEqual(promised);
  expect(await kept.sweep()).toEqual([]);

  expect((await db.query(`select attempt_id from output_chunks`)).rows).toEqual([{ attempt_id: live.attempt }]);
  expect((await db.query(`select distinct root_id from events`)).rows).toEqual([{ root_id: live.id }]);
  expect((await db.query(`select task_id from task_checkpoints where dropped_at is null`)).rows).toEqual([{ task_id: live.id }]);
  expect((await kept.blobs.list()).map(({ key }) => key)).toEqual([liveBlob]);
  expect((await engine.listOver(new Date(Date.now() + 1_000), 10, 0)).map(({ id }) => id)).toEqual([`${live.id}.1`]);
  const gitDir = `--git-dir=${kept.mirrors.folderOf(project)}`;
  expect((await kept.mirrors.git.text([gitDir, 'for-each-ref', '--format=%(refname)'])).split('\n')).toEqual([
    `refs/helix/snapshots/${liveCommit}`,
    `refs/helix/tasks/${live.id}/1`,
  ]);
  expect(await kept.mirrors.hasCommit(project, oldCommit)).toBe(false);
  expect(await kept.mirrors.hasCommit(project, liveCommit)).toBe(true);
  expect(await kept.mirrors.git.text([gitDir, 'fsck', '--connectivity-only'])).not.toContain('missing');
});

test('a commit that a task names stays when the commit handed over on top of it goes', async () => {
  const { db } = database;
  const kept = givenKept();
  const repository = givenRepository();
  const project = newId('project') as ProjectId;
  await insertProject(db, { id: project, name: 'crane', source: null, default_branch: null });
  const below = repository.commit({ 'a.txt': 'a' });
  const above = repository.commit({ 'a.txt': 'b' });
  await noteSnapshot(db, project, above);
  await takeSnapshot(kept.mirrors, project, above, Readable.from([repository.bundle('main')]));
  await db.query(`update snapshots set used_at = $1`, [daysAgo(oldDays)]);
  await givenTask({ project, commit: below });

  expect(await kept.sweep()).toMatchObject([{ kind: 'snapshots', count: 1 }]);
  const refs = await kept.mirrors.git.text([`--git-dir=${kept.mirrors.folderOf(project)}`, 'for-each-ref', '--format=%(refname)']);
  expect(refs).toBe(`refs/helix/snapshots/${below}`);
});

test('beyond the limit of bytes the output of the oldest finished tasks goes, and is said to be gone', async () => {
  const kept = givenKept({ outputBytes: 2_500 });
  const [first, second] = [await givenTask({}, 0), await givenTask({}, 0)];
  await age(first.id, 2);
  await age(second.id, 1);
  await givenTask();
  expect(await kept.sweep()).toMatchObject([{ kind: 'output', count: 1, bytes: 1_000 }]);
  const { rows } = await database.db.query(`select id from task_attempts where output_removed_at is not null`);
  expect(rows).toEqual([{ id: first.attempt }]);
});

test('a tree that ended long ago goes with everything of it, and what tests took stays known [M3]', async () => {
  const { db } = database;
  const kept = givenKept({ taskDays: 50, outputDays: 1_000, checkpointDays: 1_000, eventDays: 1_000 });
  const project = newId('project') as ProjectId;
  await insertProject(db, { id: project, name: 'crane', source: null, default_branch: null });
  await db.query(`insert into test_timings (project_id, runner, unit, mean_ms, updated_at) values ($1, 'vitest', 'a.test.ts', 5, $2)`, [
    project,
    daysAgo(oldDays),
  ]);
  const gone = await givenTask({}, 0);
  await age(gone.id, 51);
  const stays = await givenTask({}, 0);
  await age(stays.id, 49);
  const promised = await kept.sweep({ dryRun: true });
  expect(promised).toMatchObject([
    { kind: 'output', count: 1, bytes: 1_000 },
    { kind: 'tasks', count: 1 },
  ]);
  expect(await kept.sweep()).toEqual(promised);
  expect((await db.query(`select id from distributed_tasks`)).rows).toEqual([{ id: stays.id }]);
  expect(await countOf('output_chunks')).toBe(1);
  expect((await db.query(`select unit from test_timings`)).rows).toHaveLength(1);
});

test('the tip of a merge queue stays as long as its tree', async () => {
  const { db } = database;
  const kept = givenKept({ taskDays: 50 });
  const repository = givenRepository();
  const base = repository.commit({ 'a.txt': 'a' });
  const project = newId('project');
  await insertProject(db, { id: project, name: 'crane', source: null, default_branch: null });
  await kept.mirrors.create(project, repository.folder);
  const queues = createMergeQueues({
    ...kept.deps,
    verify: () => Promise.reject(new Error('nothing is merged here')),
    wakeEvents: () => {},
    wakeDriver: () => {},
  });
  onTestFinished(() => queues.stop());
  const [old, live] = [await givenTask(), await givenTask()];
  const [gone, stays] = [await queues.openQueue({ root: old.id, project, base }), await queues.openQueue({ root: live.id, project, base })];
  await tasks.report(old.attempt, { exitCode: 0, streams: { out: 1_000 } });
  await tasks.until(old, 'completed');
  await age(old.id, oldDays);
  await kept.sweep();
  await kept.sweep();
  const refs = await kept.mirrors.git.text([
    `--git-dir=${kept.mirrors.folderOf(project)}`,
    'for-each-ref',
    '--format=%(refname)',
    MERGE_REFS,
  ]);
  expect(refs).toBe(`${MERGE_REFS}/${stays.id}`);
  await expect(queues.enter({ queue: gone.id, key: '1', task: old.id, commit: base, title: 'Late' })).rejects.toMatchObject({
    code: 'merge.not_found',
  });
});

test('whoever asks for what followed a removed event is told that it is gone [T7]', async () => {
  const kept = givenKept();
  const old = await givenTask({}, 0);
  await age(old.id, oldDays);
  await givenTask({}, 0);
  const { rows } = await database.db.query<{ seq: number }>(`select seq from events where root_id = $1 order by seq`, [old.id]);
  const [first, last] = [rows[0]?.seq ?? 0, rows.at(-1)?.seq ?? 0];
  await kept.sweep();
  const tail = createEventTail({ db: database.db, log });
  onTestFinished(() => tail.close());
  await expect(tail.list('all', first, 10)).rejects.toMatchObject({ code: 'api.cursor_too_old' });
  expect((await tail.list('all', last, 10)).items.length).toBeGreaterThan(0);
});

test('while one server sweeps another is refused', async () => {
  const kept = givenKept();
  await database.db.tx(async (tx) => {
    await tryLockSweep(tx);
    await expect(kept.sweep()).rejects.toMatchObject({ code: 'gc.busy' });
  });
  expect(await kept.sweep()).toEqual([]);
});

test('the server sweeps by itself, by the clock', async () => {
  const kept = givenKept({ sweepMs: 1_000 });
  const old = await givenTask({}, 0);
  await age(old.id, oldDays);
  const loop = startRetention(kept.deps);
  onTestFinished(() => loop.stop());
  while ((await countOf('output_chunks')) > 0) await new Promise((resolve) => setTimeout(resolve, 50));
});
