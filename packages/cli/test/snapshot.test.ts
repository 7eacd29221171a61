import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { openBundle } from '../src/repository/send-snapshot.ts';
import { findRepository, takeSnapshot } from '../src/repository/snapshot.ts';
import { type Checkout, givenCheckout, givenFolder } from './support.ts';

/** Name → content (of a link: where it points) of everything in a commit. */
function contentOf({ git }: Checkout, commit: string): Record<string, string> {
  const names = git('ls-tree', '-r', '-z', '--name-only', commit)
    .split('\0')
    .filter((name) => name !== '');
  return Object.fromEntries(names.map((name) => [name, git('show', `${commit}:${name}`)]));
}

/** All that a person would notice if it changed. */
function stateOf({ folder, git }: Checkout): unknown {
  return {
    status: git('status', '--porcelain=v2', '--branch', '-z'),
    index: readFileSync(path.join(folder, '.git', 'index')).toString('base64'),
    refs: git('for-each-ref'),
    stash: git('stash', 'list'),
  };
}

test('a clean working tree is HEAD itself', async () => {
  const checkout = givenCheckout();
  checkout.write({ 'a.txt': 'a' });
  const head = checkout.commitAll();
  expect(await takeSnapshot(checkout.folder)).toEqual({ commit: head, head, isDirty: false, isPartial: false });
});

test('staged, unstaged, deleted and new files are in the snapshot, ignored ones are not, and nothing of the person is touched', async () => {
  const checkout = givenCheckout();
  checkout.write({ '.gitignore': 'build/\n', 'staged.txt': 'old', 'unstaged.txt': 'old', 'deleted.txt': 'old', 'kept.txt': 'same' });
  const head = checkout.commitAll();
  checkout.write({ 'staged.txt': 'staged' });
  checkout.git('add', 'staged.txt');
  checkout.write({ 'staged.txt': 'staged, then changed', 'unstaged.txt': 'new', 'new.txt': 'new', 'build/out.bin': 'ignored' });
  rmSync(path.join(checkout.folder, 'deleted.txt'));
  const before = stateOf(checkout);

  const { commit, isDirty } = await takeSnapshot(checkout.folder);

  expect(isDirty).toBe(true);
  expect(contentOf(checkout, commit)).toEqual({
    '.gitignore': 'build/',
    'staged.txt': 'staged, then changed',
    'unstaged.txt': 'new',
    'kept.txt': 'same',
    'new.txt': 'new',
  });
  expect(checkout.git('rev-parse', `${commit}^`)).toBe(head);
  expect(stateOf(checkout)).toEqual(before);
});

test('names with spaces, line breaks and Unicode, links and executable files are taken as they are', async () => {
  const checkout = givenCheckout();
  checkout.write({ 'a.txt': 'a' });
  checkout.commitAll();
  const files = { 'with space.txt': '1', 'line\nbreak.txt': '2', 'ünï/日本.txt': '3', '-dash.txt': '4', '"quoted".txt': '5' };
  checkout.write(files);
  symlinkSync('with space.txt', path.join(checkout.folder, 'link'));
  writeFileSync(path.join(checkout.folder, 'run.sh'), 'true', { mode: 0o755 });
  const { commit } = await takeSnapshot(checkout.folder);
  expect(contentOf(checkout, commit)).toEqual({ ...files, 'a.txt': 'a', link: 'with space.txt', 'run.sh': 'true' });
  expect(checkout.git('ls-tree', commit, 'run.sh', 'link')).toMatch(/^120000 .*link\n100755 .*run\.sh$/);
});

test('the same content gives the same commit, however often and from whichever folder it is taken', async () => {
  const checkout = givenCheckout();
  checkout.write({ 'sub/a.txt': 'a' });
  checkout.commitAll();
  checkout.write({ 'sub/a.txt': 'b' });
  const first = await takeSnapshot(checkout.folder);
  const root = await findRepository(path.join(checkout.folder, 'sub'));
  expect(await takeSnapshot(root)).toEqual(first);
});

test('a change of equal length in the moment in which git wrote its index is part of the snapshot', async () => {
  const checkout = givenCheckout();
  // Git may know a file by its size and its time alone, as where it cannot trust what the disk says else.
  checkout.git('config', 'core.trustctime', 'false');
  checkout.write({ 'a.txt': 'old' });
  checkout.commitAll();
  const moment = Math.floor(Date.now() / 1000) - 60;
  const [file, index] = ['a.txt', '.git/index'].map((name) => path.join(checkout.folder, name)) as [string, string];
  utimesSync(file, moment, moment);
  checkout.git('update-index', '--refresh');
  utimesSync(index, moment, moment);
  writeFileSync(file, 'new');
  utimesSync(file, moment, moment);
  const { commit, isDirty } = await takeSnapshot(checkout.folder);
  expect({ isDirty, content: contentOf(checkout, commit) }).toEqual({ isDirty: true, content: { 'a.txt': 'new' } });
});

test('a repository without a commit, one with a submodule and a linked worktree can be taken', async () => {
  const fresh = givenCheckout();
  fresh.write({ 'a.txt': 'a' });
  const first = await takeSnapshot(fresh.folder);
  expect(first).toMatchObject({ head: undefined, isDirty: true });
  expect(contentOf(fresh, first.commit)).toEqual({ 'a.txt': 'a' });

  const head = fresh.commitAll();
  const outer = givenCheckout();
  outer.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', fresh.folder, 'inner');
  outer.commitAll();
  outer.write({ 'inner/a.txt': 'changed', 'b.txt': 'b' });
  const { commit } = await takeSnapshot(outer.folder);
  expect(outer.git('ls-tree', commit, 'inner')).toBe(`160000 commit ${head}\tinner`);

  const linked = path.join(givenFolder(), 'linked');
  fresh.git('worktree', 'add', '--quiet', linked);
  writeFileSync(path.join(linked, 'b.txt'), 'b');
  expect(contentOf(fresh, (await takeSnapshot(linked)).commit)).toEqual({ 'a.txt': 'a', 'b.txt': 'b' });
});

test('a new file that is surely no source is named, with what keeps it out', async () => {
  const checkout = givenCheckout();
  checkout.write({ 'a.txt': 'a', 'core dump': '' });
  truncateSync(path.join(checkout.folder, 'core dump'), 200 * 1024 ** 2);
  await expect(takeSnapshot(checkout.folder)).rejects.toMatchObject({
    code: 'snapshot.failed',
    message: 'the new file core dump has 200 MiB, more than a snapshot takes along',
    next: 'echo "/core dump" >> .gitignore',
  });
});

test('a folder that is in no repository is refused', async () => {
  await expect(findRepository(givenFolder())).rejects.toMatchObject({ code: 'cli.not_a_repository', next: 'git init' });
});

test('a bundle holds what is missing and no more; of a shallow clone it holds the tree alone', async () => {
  const checkout = givenCheckout();
  checkout.write({ 'big.txt': Array.from({ length: 20_000 }, (_, line) => `line ${line * 7919}`).join('\n') });
  const head = checkout.commitAll();
  const mirror = givenFolder();
  const inMirror = (...args: string[]): string =>
    execFileSync('git', args, { cwd: mirror, stdio: ['ignore', 'pipe', 'pipe'] })
      .toString()
      .trim();
  const take = async (root: string, commit: string, known: string[]): Promise<number> => {
    const bundle = await buffer(await openBundle(root, commit, known));
    writeFileSync(path.join(mirror, 'bundle'), bundle);
    inMirror('bundle', 'verify', '--quiet', 'bundle');
    inMirror('fetch', '--quiet', 'bundle', 'refs/heads/snapshot');
    expect(inMirror('rev-parse', 'FETCH_HEAD')).toBe(commit);
    inMirror('update-ref', `refs/kept/${commit}`, commit);
    return bundle.length;
  };
  inMirror('init', '--quiet', '--bare');
  const whole = await take(checkout.folder, head, []);

  checkout.write({ 'big.txt': `${readFileSync(path.join(checkout.folder, 'big.txt'), 'utf8')}\none more line` });
  const { commit } = await takeSnapshot(checkout.folder);
  expect(await take(checkout.folder, commit, [head])).toBeLessThan(whole / 20);

  checkout.commitAll();
  const shallow = path.join(givenFolder(), 'shallow');
  execFileSync('git', ['clone', '--quiet', '--depth=1', `file://${checkout.folder}`, shallow]);
  const snapshot = await takeSnapshot(shallow);
  expect(snapshot).toMatchObject({ isPartial: true, isDirty: false });
  await take(shallow, snapshot.commit, []);
  expect(inMirror('fsck', '--connectivity-only')).toBe('');
});
