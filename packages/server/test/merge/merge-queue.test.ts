import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { newId, type TaskId } from '@helixcode/protocol/ids';
import type { Verdict, VerifyRequest } from '@helixcode/server/merge/merge-context';
import { listQueues } from '@helixcode/server/merge/merge-sql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenFolder } from '../projects/repository.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenQueues, givenQueues, PASSED } from './given-queues.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

const numbered = (count: number, changed: Record<number, string> = {}): string =>
  Array.from({ length: count }, (_, index) => `${changed[index + 1] ?? `line ${index + 1}`}\n`).join('');

/** Runs `check.mjs` of a commit: a suite small enough for a test. */
function runCheck({ git }: GivenQueues): (request: VerifyRequest) => Promise<Verdict> {
  return async ({ commit }) => {
    const folder = path.join(givenFolder(), 'checkout');
    mkdirSync(folder);
    git(`--work-tree=${folder}`, 'restore', `--source=${commit}`, '--worktree', '--', ':/');
    const { status, stderr } = spawnSync(process.execPath, ['check.mjs'], { cwd: folder, encoding: 'utf8' });
    return status === 0 ? PASSED : { passed: false, receipts: [], summary: stderr };
  };
}

test('three changes at the same time are merged one after the other, and any order gives the same tree [M4]', async () => {
  const given = await givenQueues(database, { 'a.txt': numbered(30), 'old.txt': 'moves\nwith\nits\nchanges\n', 'gone.txt': 'gone\n' });
  const changes = [
    await given.change(given.base, { 'a.txt': numbered(30, { 3: 'three' }), 'one.txt': '1\n' }),
    await given.change(given.base, { 'a.txt': numbered(30, { 15: 'fifteen' }), 'gone.txt': null }),
    await given.change(given.base, {
      'a.txt': numbered(30, { 28: 'twenty-eight' }),
      'old.txt': null,
      'new.txt': 'moves\nwith\nits\nchanges\n',
    }),
  ];
  const trees = new Set<string>();
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
  ]) {
    const queues = given.serve();
    const root = await given.task();
    const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
    const owners = await Promise.all(order.map(() => given.task(root)));
    const entries = [];
    for (const [index, change] of order.entries())
      entries.push(
        await queues.enter({
          queue,
          key: `${change}`,
          task: owners[index] as TaskId,
          commit: changes[change] ?? '',
          title: `Change ${change}\nand more`,
        }),
      );
    for (const { entry } of entries) expect(await given.until(queues, entry, 'merged')).toMatchObject({ try: 1 });
    await queues.stop();

    const [row] = await listQueues(database.db, root);
    expect(given.tipOf(queue)).toBe(row?.tip_commit);
    const history = given.git(
      'log',
      '--reverse',
      '--format=%s|%(trailers:key=Helix-Task,valueonly,separator=)|%p',
      `${given.base}..${row?.tip_commit}`,
    );
    expect(history.split('\n').map((line) => line.split('|').slice(0, 2))).toEqual(
      order.map((change, index) => [`Change ${change} and more`, owners[index]]),
    );
    // A line: each has one parent.
    expect(history.split('\n').every((line) => /^[0-9a-f]+$/.test(line.split('|')[2] ?? ''))).toBe(true);
    trees.add(given.git('rev-parse', `${row?.tip_commit}^{tree}`));
  }
  expect(trees.size).toBe(1);
  const [tree = ''] = trees;
  expect(given.git('ls-tree', '-r', '--name-only', tree).split('\n')).toEqual(['a.txt', 'new.txt', 'one.txt']);
  expect(given.git('show', `${tree}:a.txt`)).toBe(numbered(30, { 3: 'three', 15: 'fifteen', 28: 'twenty-eight' }).trim());
}, 60_000);

test('a conflict goes back to its owner with its three versions, and the next try is merged before what waits behind it [F5]', async () => {
  const given = await givenQueues(database, { 'a.txt': numbered(30) });
  const verdicts: (() => void)[] = [];
  const queues = given.serve({ verify: () => new Promise((resolve) => verdicts.push(() => resolve(PASSED))) });
  const nextVerdict = async (): Promise<void> => {
    await expect.poll(() => verdicts.length).toBe(1);
    verdicts.shift()?.();
  };
  const root = await given.task();
  const [ada, bob] = [await given.task(root), await given.task(root)];
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const first = await queues.enter({
    queue,
    key: 'first',
    task: ada,
    title: 'First',
    commit: await given.change(given.base, { 'a.txt': numbered(30, { 10: 'ten of Ada' }) }),
  });
  const second = await queues.enter({
    queue,
    key: 'second',
    task: bob,
    title: 'Second',
    commit: await given.change(given.base, { 'a.txt': numbered(30, { 10: 'ten of Bob', 20: 'twenty' }) }),
  });
  const third = await queues.enter({
    queue,
    key: 'third',
    task: ada,
    title: 'Third',
    commit: await given.change(given.base, { 'c.txt': 'c\n' }),
  });
  const fourth = await queues.enter({
    queue,
    key: 'fourth',
    task: ada,
    title: 'Fourth',
    commit: await given.change(given.base, { 'd.txt': 'd\n' }),
  });
  await nextVerdict();
  const { commit: tip } = await given.until(queues, first.entry, 'merged');

  const back = await given.until(queues, second.entry, 'conflict');
  expect(back).toMatchObject({ try: 1, triesLeft: 4, tip, returned: { why: 'conflict', onto: tip, more: 0 } });
  expect(back.returned).toMatchObject({
    conflicts: [
      {
        path: 'a.txt',
        kind: 'contents',
        isCut: false,
        text: [
          'line 7:',
          'line 7',
          'line 8',
          'line 9',
          '<<<<<<< merged so far',
          'ten of Ada',
          '||||||| before both',
          'line 10',
          '=======',
          'ten of Bob',
          '>>>>>>> this change',
          'line 11',
          'line 12',
          'line 13',
        ].join('\n'),
      },
    ],
  });
  expect(given.woken).toContain(bob);

  // The third is being verified; the owner of the second has its next try ready before that is over.
  await expect.poll(() => verdicts.length).toBe(1);
  const resolved = await given.change(given.base, { 'a.txt': numbered(30, { 10: 'ten of Ada and Bob', 20: 'twenty' }) });
  await expect(queues.enterAgain(first.entry, { after: 1, commit: resolved })).rejects.toMatchObject({ code: 'merge.move_refused' });
  given.repository.git('fetch', '--quiet', given.mirrors.folderOf(given.project), tip ?? '');
  const rebased = await given.change(tip ?? '', { 'a.txt': numbered(30, { 10: 'ten of Ada and Bob', 20: 'twenty' }) });
  await queues.enterAgain(second.entry, { after: 1, commit: rebased });
  expect(await queues.enterAgain(second.entry, { after: 1, commit: rebased })).toMatchObject({ try: 2 });
  for (const entry of [third, second, fourth]) {
    await nextVerdict();
    await given.until(queues, entry.entry, 'merged');
  }
  expect(await queues.outcomeOf(second.entry)).toMatchObject({ state: 'merged', try: 2, returned: undefined });
  const { tip: end } = await queues.outcomeOf(fourth.entry);
  await expect.poll(() => given.tipOf(queue)).toBe(end);
  expect(given.git('log', '--reverse', '--format=%s', `${given.base}..${given.tipOf(queue)}`).split('\n')).toEqual([
    'First',
    'Third',
    'Second',
    'Fourth',
  ]);
  expect(given.git('show', `${given.tipOf(queue)}:a.txt`)).toBe(numbered(30, { 10: 'ten of Ada and Bob', 20: 'twenty' }).trim());
});

test('two changes that merge cleanly and break each other are told apart by the verification, and the second goes back with what failed [F5]', async () => {
  const given = await givenQueues(database, {
    'price.mjs': 'export const price = (n) => n * 3;\n',
    'check.mjs':
      "import assert from 'node:assert';\nimport { readdirSync } from 'node:fs';\nfor (const f of readdirSync('.').filter((f) => f.startsWith('case-'))) await import('./' + f);\n",
    'case-a.mjs': "import { price } from './price.mjs';\nif (price(2) !== 6) throw new Error('case-a.mjs:2 price(2) is not 6');\n",
  });
  const verify = runCheck(given);
  const queues = given.serve({ verify });
  const root = await given.task();
  const [ada, bob] = [await given.task(root), await given.task(root)];
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base, maxTries: 2 });
  const renames = {
    'price.mjs': 'export const cost = (n) => n * 3;\n',
    'case-a.mjs': "import { cost } from './price.mjs';\nif (cost(2) !== 6) throw new Error('case-a.mjs:2 cost(2) is not 6');\n",
  };
  const first = await queues.enter({
    queue,
    key: 'rename',
    task: ada,
    title: 'Rename price',
    commit: await given.change(given.base, renames),
  });
  const calls = { 'case-b.mjs': "import { price } from './price.mjs';\nif (price(4) !== 12) throw new Error('no');\n" };
  const second = await queues.enter({ queue, key: 'use', task: bob, title: 'Use price', commit: await given.change(given.base, calls) });
  const { commit: tip = '' } = await given.until(queues, first.entry, 'merged');
  const back = await given.until(queues, second.entry, 'conflict');
  expect(back).toMatchObject({ tip, returned: { why: 'verification', onto: tip, summary: expect.stringContaining('case-b.mjs:1') } });
  await expect.poll(() => given.tipOf(queue)).toBe(tip);

  // The same again does not help: the last of its tries is refused, and what was merged stays.
  await queues.enterAgain(second.entry, { after: 1, commit: await given.change(given.base, calls) });
  expect(await given.until(queues, second.entry, 'refused')).toMatchObject({
    try: 2,
    failure: { code: 'merge.tries_spent' },
    returned: { why: 'verification', summary: expect.stringContaining('case-b.mjs:1') },
  });
  const third = await queues.enter({
    queue,
    key: 'use-cost',
    task: bob,
    title: 'Use cost',
    commit: await given.change(given.base, {
      'case-b.mjs': "import { cost } from './price.mjs';\nif (cost(4) !== 12) throw new Error('no');\n",
    }),
  });
  expect(await given.until(queues, third.entry, 'merged', 'conflict')).toMatchObject({ state: 'merged' });
});

test('what cannot be merged by lines is a conflict that names its kind: binary, deleted and changed, moved and deleted, submodule, file in place of a folder', async () => {
  const binary = (text: string): Buffer => Buffer.from(`\0${text}`);
  const given = await givenQueues(database, { 'b.bin': '\0base', 'd.txt': numbered(5), 'r.txt': numbered(8), 'x.txt': numbered(3) });
  const { git, folder } = given.repository;
  const link = (name: string, hash: string): string => git('update-index', '--add', '--cacheinfo', `160000,${hash.repeat(40)},${name}`);
  const build = async (files: Record<string, Buffer | string | null>, more: () => void): Promise<string> => {
    const commit = await given.change(given.base, files);
    git('checkout', '--quiet', '-B', `more-${commit}`, commit);
    more();
    git('commit', '--quiet', '--allow-empty', '-m', 'more');
    const made = git('rev-parse', 'HEAD');
    git('reset', '--quiet', '--hard');
    await given.mirrors.fetch(given.project, folder);
    return made;
  };
  const left = await build(
    { 'b.bin': binary('left'), 'd.txt': numbered(5, { 2: 'two' }), 'r.txt': null, 'x.txt': null, 'x.txt/inner.txt': 'in\n' },
    () => link('sub', '1'),
  );
  const right = await build({ 'b.bin': binary('right'), 'd.txt': null, 'x.txt': numbered(3, { 1: 'one' }) }, () => {
    git('mv', 'r.txt', 'moved.txt');
    link('sub', '2');
  });
  const queues = given.serve();
  const root = await given.task();
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const first = await queues.enter({ queue, key: '1', task: root, title: 'Left', commit: left });
  await given.until(queues, first.entry, 'merged');
  const second = await queues.enter({ queue, key: '2', task: root, title: 'Right', commit: right });
  const { returned } = await given.until(queues, second.entry, 'conflict');
  if (returned?.why !== 'conflict') throw new Error('it is no conflict');
  const kinds = Object.fromEntries(returned.conflicts.map(({ path: name, kind }) => [name.replace(/~.*/, '~'), kind]));
  expect(kinds).toMatchObject({
    'b.bin': 'binary',
    'd.txt': 'modify/delete',
    'moved.txt': 'rename/delete',
    sub: expect.stringMatching(/submodule|add\/add|contents/),
  });
  expect(Object.keys(kinds).some((name) => name.startsWith('x.txt'))).toBe(true);
  const deleted = returned.conflicts.find(({ path: name }) => name === 'd.txt');
  expect(deleted?.text).toBe('changed by merged so far:\n@@ -1,5 +1,5 @@\n line 1\n-line 2\n+two\n line 3\n line 4\n line 5');
  expect(deleted?.message).toContain('deleted in this change and modified in merged so far');
});

test('the attributes of the project decide how a file is merged: both lines of a change log are kept, a lock file is never mixed', async () => {
  const given = await givenQueues(database, {
    '.gitattributes': 'CHANGES merge=union\n*.lock -merge\n',
    CHANGES: 'began\n',
    'a.lock': numbered(30),
  });
  const queues = given.serve();
  const root = await given.task();
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const enter = async (title: string, files: Record<string, string>) =>
    queues.enter({ queue, key: title, task: root, title, commit: await given.change(given.base, files) });
  await enter('one', { CHANGES: 'began\none\n' });
  const two = await enter('two', { CHANGES: 'began\ntwo\n', 'a.lock': numbered(30, { 2: 'two' }) });
  expect(await given.until(queues, two.entry, 'merged', 'conflict')).toMatchObject({ state: 'merged' });
  expect(given.git('show', `${(await queues.outcomeOf(two.entry)).commit}:CHANGES`)).toBe('began\none\ntwo');
  const three = await enter('three', { 'a.lock': numbered(30, { 29: 'three' }) });
  expect(await given.until(queues, three.entry, 'conflict', 'merged')).toMatchObject({
    state: 'conflict',
    returned: { conflicts: [{ path: 'a.lock', kind: expect.stringMatching(/binary|contents/) }] },
  });
});

test('a conflict of many large files is told within a bound', async () => {
  const names = Array.from({ length: 60 }, (_, index) => `f${String(index).padStart(2, '0')}.txt`);
  const all = (text: string): Record<string, string> => Object.fromEntries(names.map((name) => [name, `${text}\n`.repeat(500)]));
  const given = await givenQueues(database, all('base'));
  const queues = given.serve();
  const root = await given.task();
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  await queues.enter({ queue, key: '1', task: root, title: 'Left', commit: await given.change(given.base, all('left')) });
  const second = await queues.enter({ queue, key: '2', task: root, title: 'Right', commit: await given.change(given.base, all('right')) });
  const { returned } = await given.until(queues, second.entry, 'conflict');
  if (returned?.why !== 'conflict') throw new Error('it is no conflict');
  expect(returned.conflicts).toHaveLength(50);
  expect(returned.more).toBe(10);
  expect(returned.conflicts[0]).toMatchObject({ path: 'f00.txt', isCut: true });
  expect(JSON.stringify(returned).length).toBeLessThan(64_000);
});

test('what the queue holds already is merged at once, without a commit or a verification', async () => {
  const given = await givenQueues(database, { 'a.txt': numbered(5) });
  let verified = 0;
  const queues = given.serve({
    verify: async () => {
      verified++;
      return PASSED;
    },
  });
  const root = await given.task();
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const change = await given.change(given.base, { 'a.txt': numbered(5, { 2: 'two' }) });
  const first = await queues.enter({ queue, key: '1', task: root, title: 'One', commit: change });
  const { commit: tip } = await given.until(queues, first.entry, 'merged');
  for (const [key, commit] of [
    ['same', change],
    ['equal', await given.change(given.base, { 'a.txt': numbered(5, { 2: 'two' }) })],
    ['base', given.base],
  ] as const) {
    const { entry } = await queues.enter({ queue, key, task: root, title: key, commit });
    expect(await given.until(queues, entry, 'merged')).toMatchObject({ commit: tip });
  }
  expect(verified).toBe(1);
  expect(given.tipOf(queue)).toBe(tip);
});

test('twenty changes are merged in the order in which they came, each verified on top of the one before [M4]', async () => {
  const given = await givenQueues(database, { 'a.txt': numbered(200) });
  const verified: string[] = [];
  const queues = given.serve({
    verify: async ({ commit }) => {
      verified.push(commit);
      return PASSED;
    },
  });
  const root = await given.task();
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const commits = Array.from({ length: 20 }, (_, n) =>
    given.commit(given.base, { 'a.txt': numbered(200, { [n * 9 + 5]: `changed ${n}` }), [`f${n}`]: `${n}\n` }),
  );
  await given.bring();
  const entries = [];
  for (const [n, commit] of commits.entries())
    entries.push(await queues.enter({ queue, key: `${n}`, task: root, title: `Change ${n}`, commit }));
  for (const { entry } of entries) await given.until(queues, entry, 'merged');
  await expect.poll(() => given.tipOf(queue)).toBe(verified.at(-1));
  const history = given.git('log', '--reverse', '--format=%H %s', `${given.base}..${given.tipOf(queue)}`).split('\n');
  expect(history.map((line) => line.slice(41))).toEqual(entries.map((_, index) => `Change ${index}`));
  expect(history.map((line) => line.slice(0, 40))).toEqual(verified);
}, 120_000);

test('when its tree is over nothing more is merged, and a check under way is given up', async () => {
  const given = await givenQueues(database, { 'a.txt': 'a\n' });
  const asked = Promise.withResolvers<VerifyRequest>();
  const queues = given.serve({
    verify: (request) =>
      new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason));
        asked.resolve(request);
      }),
  });
  const root = await given.task();
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const first = await queues.enter({ queue, key: '1', task: root, title: 'One', commit: await given.change(given.base, { b: 'b\n' }) });
  const second = await queues.enter({ queue, key: '2', task: root, title: 'Two', commit: await given.change(given.base, { c: 'c\n' }) });
  await asked.promise;
  expect(await queues.withdraw(second.entry, 'its owner thinks better of it')).toMatchObject({
    state: 'refused',
    failure: { code: 'merge.withdrawn' },
  });
  await database.db.query(`update distributed_tasks set state = 'cancelled', finished_at = now() where id = $1`, [root]);
  expect(await given.until(queues, first.entry, 'refused')).toMatchObject({ failure: { code: 'merge.closed' } });
  expect(given.tipOf(queue)).toBe(given.base);
  await expect(queues.enter({ queue, key: '3', task: root, title: 'Three', commit: given.base })).rejects.toMatchObject({
    code: 'merge.closed',
  });
});

test('what cannot be entered is refused with the reason: an unknown commit, an owner of another tree, a history of its own', async () => {
  const given = await givenQueues(database, { 'a.txt': 'a\n' });
  const queues = given.serve();
  const [root, other] = [await given.task(), await given.task()];
  const { id: queue } = await queues.openQueue({ root, project: given.project, base: given.base });
  const entry = { queue, key: '1', task: root, title: 'One', commit: given.base };
  await expect(queues.enter({ ...entry, commit: '1'.repeat(40) })).rejects.toMatchObject({ code: 'snapshot.refused' });
  await expect(queues.enter({ ...entry, task: other })).rejects.toMatchObject({ code: 'task.not_found' });
  await expect(queues.enter({ ...entry, queue: newId('mergeQueue') })).rejects.toMatchObject({ code: 'merge.not_found' });
  given.repository.git('checkout', '--quiet', '--orphan', 'alone');
  const alone = given.repository.commit({ 'z.txt': 'z\n' });
  await given.mirrors.fetch(given.project, given.repository.folder);
  const { entry: unrelated } = await queues.enter({ ...entry, commit: alone });
  expect(await given.until(queues, unrelated, 'refused')).toMatchObject({ failure: { code: 'merge.unrelated' } });
});
