import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import { describe, expect, test } from 'vitest';
import { branchNameOf, takeChanges } from '../src/repository/changes-branch.ts';
import { takeSnapshot } from '../src/repository/snapshot.ts';
import { type Checkout, givenCheckout, givenFolder } from './support.ts';

const id = 'ses_01jd3v8k2m6qx4t7r2';

/** A server that has one commit on `base`, made from another repository that has nothing else of it. */
function givenChanges(from: Checkout, base: string, files: Record<string, string>): { client: Client; commit: string } {
  const worker = givenCheckout();
  const keep = 'refs/heads/kept-for-the-worker';
  from.git('update-ref', keep, base);
  worker.git('fetch', '--quiet', from.folder, keep);
  from.git('update-ref', '-d', keep);
  worker.git('checkout', '--quiet', '--detach', base);
  worker.write(files);
  const commit = worker.commitAll();
  worker.git('update-ref', 'refs/helix/changes', commit);
  const bundle = execFileSync('git', ['bundle', 'create', '--quiet', '-', 'refs/helix/changes', `^${base}`], { cwd: worker.folder });
  const client = { call: () => Promise.resolve(new Response(bundle, { headers: { 'helix-commit': commit } })) };
  return { client: client as unknown as Client, commit };
}

/** All that must stay as it is. */
const standing = ({ folder, git }: Checkout): unknown => ({
  head: git('symbolic-ref', 'HEAD'),
  at: git('rev-parse', 'HEAD'),
  index: git('ls-files', '--stage', '--debug'),
  status: git('status', '--porcelain'),
  fetched: existsSync(path.join(folder, '.git', 'FETCH_HEAD')),
  file: readFileSync(path.join(folder, 'a.txt'), 'utf8'),
});

describe('the changes of a session become a branch [F3]', () => {
  test('of a clean repository, and nothing of HEAD, the index and the files is touched', async () => {
    const checkout = givenCheckout();
    checkout.write({ 'a.txt': 'one\n' });
    const base = checkout.commitAll();
    const { client, commit } = givenChanges(checkout, base, { 'a.txt': 'two\n' });
    const before = standing(checkout);

    const branch = await takeChanges(client, checkout.folder, { id, title: 'Make it two!', base });

    expect(branch).toEqual({
      name: 'helix/make-it-two-x4t7r2',
      commit,
      isNew: true,
      look: 'git diff HEAD...helix/make-it-two-x4t7r2',
    });
    expect(standing(checkout)).toEqual(before);
    expect(checkout.git('diff', 'HEAD...helix/make-it-two-x4t7r2')).toContain('+two');
    expect(checkout.git('for-each-ref', '--format=%(refname)')).toBe('refs/heads/helix/make-it-two-x4t7r2\nrefs/heads/main');
  });

  test('of a working tree with uncommitted changes: the command that shows them leaves out those of the person', async () => {
    const checkout = givenCheckout();
    checkout.write({ 'a.txt': 'one\n', 'b.txt': 'b\n' });
    checkout.commitAll();
    checkout.write({ 'a.txt': 'mine\n', 'new.txt': 'mine too\n' });
    const { commit: base } = await takeSnapshot(checkout.folder);
    const { client } = givenChanges(checkout, base, { 'b.txt': 'changed\n' });
    const before = standing(checkout);

    const { look } = await takeChanges(client, checkout.folder, { id, title: 'b', base });

    expect(look).toBe('git show helix/b-x4t7r2');
    const shown = checkout.git('show', '--format=', '--name-only', 'helix/b-x4t7r2');
    expect(shown).toBe('b.txt');
    expect(standing(checkout)).toEqual(before);
  });

  test('twice gives one branch, and one that holds something else is left as it is', async () => {
    const checkout = givenCheckout();
    checkout.write({ 'a.txt': 'one\n' });
    const base = checkout.commitAll();
    const session = { id, title: 'b', base };
    const first = givenChanges(checkout, base, { 'a.txt': 'two\n' });
    const second = givenChanges(checkout, base, { 'a.txt': 'three\n' });

    expect(await takeChanges(first.client, checkout.folder, session)).toMatchObject({ name: 'helix/b-x4t7r2', isNew: true });
    expect(await takeChanges(first.client, checkout.folder, session)).toMatchObject({ name: 'helix/b-x4t7r2', isNew: false });
    expect(await takeChanges(second.client, checkout.folder, session)).toMatchObject({ name: 'helix/b-x4t7r2-2', isNew: true });
    expect(await takeChanges(second.client, checkout.folder, session)).toMatchObject({ name: 'helix/b-x4t7r2-2', isNew: false });
    expect(checkout.git('rev-parse', 'helix/b-x4t7r2')).toBe(first.commit);
  });

  test('not in a repository that lacks what it began at', async () => {
    const checkout = givenCheckout();
    checkout.write({ 'a.txt': 'one\n' });
    const base = checkout.commitAll();
    const { client } = givenChanges(checkout, base, { 'a.txt': 'two\n' });
    const other = givenCheckout(givenFolder());
    other.write({ 'c.txt': 'c\n' });
    other.commitAll();
    await expect(takeChanges(client, other.folder, { id, title: 'b', base })).rejects.toMatchObject({
      code: 'snapshot.failed',
      next: expect.stringContaining(`helix sessions fetch ${id}`),
    });
    expect(other.git('branch', '--list')).toBe('* main');
  });
});

test.each([
  ['Make payments idempotent', 'helix/make-payments-idempotent-x4t7r2'],
  ['Übergröße: "fix" it..lock', 'helix/ubergro-e-fix-it-lock-x4t7r2'],
  ['Исправь', 'helix/session-x4t7r2'],
  ['-- ~^:?*[\\ @{ ..', 'helix/session-x4t7r2'],
  ['a'.repeat(200), `helix/${'a'.repeat(40)}-x4t7r2`],
])('the branch of %j is %s', (title, name) => {
  expect(branchNameOf({ id, title })).toBe(name);
  expect(() => execFileSync('git', ['check-ref-format', '--branch', name])).not.toThrow();
});
