import type { MergeQueueId, TaskId } from '@helixcode/protocol/ids';
import type { MergeQueues } from '@helixcode/server/merge/merge-queues';
import type { Git } from '@helixcode/server/projects/git';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCrashableDb } from '../support/crashable-db.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenQueues, givenQueues } from './given-queues.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

const lines = (third: string): string => `1\n2\n${third}\n4\n5\n`;

interface Changes {
  given: GivenQueues;
  commits: Record<'A' | 'B', string>;
  retry: string;
}

/** Two changes of which the second has to be handed in again. */
async function givenChanges(): Promise<Changes> {
  const given = await givenQueues(database, { 'a.txt': lines('3') });
  const commits = {
    A: given.commit(given.base, { 'a.txt': lines('three of A') }),
    B: given.commit(given.base, { 'a.txt': lines('three of B') }),
  };
  const retry = given.commit(given.base, { 'b.txt': 'B\n' });
  await given.bring();
  return { given, commits, retry };
}

/** What the driver of an owner does, and does again after a crash: it opens the queue, enters what is finished, hands in anew what came back. */
async function drive(
  { given, commits, retry }: Changes,
  queues: MergeQueues,
  root: TaskId,
  onQueue?: (queue: MergeQueueId) => void,
): Promise<void> {
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  onQueue?.(queue);
  const entries = [];
  for (const [key, commit] of Object.entries(commits))
    entries.push((await queues.enter({ queue, key, commit, title: key, task: root })).entry);
  for (const entry of entries) {
    const { state } = await given.until(queues, entry, 'merged', 'conflict', 'refused');
    if (state === 'conflict') await queues.enterAgain(entry, { after: 1, commit: retry });
    expect(await given.until(queues, entry, 'merged', 'refused')).toMatchObject({ state: 'merged' });
  }
}

async function expectEachOnce({ given }: Changes, root: TaskId): Promise<void> {
  const { rows } = await database.db.query<{ id: string; tip_commit: string }>(
    `select id, tip_commit from merge_queues where root_id = $1`,
    [root],
  );
  const [queue] = rows;
  await expect.poll(() => given.tipOf(queue?.id ?? '')).toBe(queue?.tip_commit);
  expect(given.git('log', '--reverse', '--format=%s', `${given.base}..${queue?.tip_commit}`)).toBe('A\nB');
  expect(given.git('show', `${queue?.tip_commit}:a.txt`, `${queue?.tip_commit}:b.txt`)).toBe(`${lines('three of A')}B`);
  const { rows: told } = await database.db.query<{ title: string; to: string }>(
    `select body->>'title' as title, body->>'to' as to from events where root_id = $1 and body->>'type' = 'merge.moved' order by seq`,
    [root],
  );
  const movesOf = (title: string): string[] => told.filter((move) => move.title === title).map((move) => move.to);
  expect(movesOf('A')).toEqual(['waiting', 'merging', 'verifying', 'merged']);
  expect(movesOf('B')).toEqual(['waiting', 'merging', 'conflict', 'waiting', 'merging', 'verifying', 'merged']);
}

test('a server that dies between two statements, before or after a commit, leaves work that the next one ends, each change merged once [F5]', {
  timeout: 240_000,
}, async () => {
  const changes = await givenChanges();
  const { given } = changes;
  // There are some 150 such places, of which one in seven is tried.
  for (let steps = 1, hasLived = false; !hasLived; steps += 7) {
    const root = await given.task();
    const life = openCrashableDb(database.url, database.db);
    life.dieAfter(steps);
    const first = given.serve({ db: life.db });
    await Promise.race([drive(changes, first, root).catch(() => {}), life.whenDead]);
    hasLived = !life.isDead;
    await life.die();
    await first.stop();

    const second = given.serve();
    await drive(changes, second, root);
    await expectEachOnce(changes, root);
    await second.stop();
  }
});

test('a server that dies before or after a command of git leaves a queue that goes on, whose ref agrees with its row', {
  timeout: 240_000,
}, async () => {
  const changes = await givenChanges();
  const { given } = changes;
  for (let steps = 0, hasLived = false; !hasLived; steps += 3) {
    const root = await given.task();
    const life = openCrashableDb(database.url, database.db);
    let stepsLeft = steps;
    const die = (): Promise<never> => {
      life.dieAfter(0);
      return Promise.reject(new Error('this server has crashed'));
    };
    const mortal = async <T>(act: () => Promise<T>): Promise<T> => {
      if (--stepsLeft < 0) return die();
      const result = await act();
      return --stepsLeft < 0 ? die() : result;
    };
    const { git } = given.mirrors;
    const dying: Git = { ...git, run: (...args) => mortal(() => git.run(...args)), text: (...args) => mortal(() => git.text(...args)) };
    const first = given.serve({ db: life.db, mirrors: { ...given.mirrors, git: dying } });
    await Promise.race([drive(changes, first, root).catch(() => {}), life.whenDead]);
    hasLived = stepsLeft >= 0;
    await life.die();
    await first.stop();

    const second = given.serve();
    await drive(changes, second, root);
    await expectEachOnce(changes, root);
    await second.stop();
  }
});

test('two servers that drive one queue at the same time merge each change once [O2]', async () => {
  const changes = await givenChanges();
  const { given } = changes;
  const root = await given.task();
  const [one, other] = [given.serve(), given.serve()];
  let stopListening: (() => void) | undefined;
  await drive(changes, one, root, (queue) => {
    stopListening = given.onEvents(() => other.wake(queue));
  });
  stopListening?.();
  await expectEachOnce(changes, root);
});
