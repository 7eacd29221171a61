import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { newId } from '@helixcode/protocol/ids';
import { createCheckpointRefs } from '@helixcode/server/projects/checkpoint-refs';
import { createGit } from '@helixcode/server/projects/git';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { type ObjectReader, openObjectReader } from '@helixcode/server/projects/object-reader';
import { type Replaced, replaceFiles } from '@helixcode/server/projects/replace-files';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder: string;
let gitDir: string;
let reader: ObjectReader;
let base: string;
let onto: string;

const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: folder, encoding: 'utf8' }).trim();

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'helix-replace-'));
  gitDir = path.join(folder, '.git');
  mkdirSync(path.join(folder, 'deep/er'), { recursive: true });
  writeFileSync(path.join(folder, 'deep/er/a.txt'), 'a\n');
  writeFileSync(path.join(folder, 'deep/er-than.txt'), 'than\n');
  writeFileSync(path.join(folder, 'run ünd.sh'), 'exit 0\n');
  chmodSync(path.join(folder, 'run ünd.sh'), 0o755);
  symlinkSync('deep', path.join(folder, 'link'));
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'base');
  base = git('rev-parse', 'HEAD');
  writeFileSync(path.join(folder, 'new.txt'), 'new\n');
  git('add', '.');
  onto = git('commit-tree', '-p', base, '-m', 'checkpoint', git('write-tree'));
  // What lies in a pack is read like everything else.
  git('update-ref', 'refs/helix/tasks/t/1', onto);
  git('repack', '-adq');
  reader = openObjectReader(createGit(path.join(folder, 'settings')), gitDir);
});
afterEach(() => {
  reader.close();
  rmSync(folder, { recursive: true, force: true });
});

const replace = (writes: Record<string, string>): Promise<Replaced | undefined> =>
  replaceFiles(gitDir, reader, {
    onto,
    base,
    writes: Object.entries(writes).map(([name, text]) => ({ path: name, bytes: Buffer.from(text) })),
    message: 'checkpoint (asked)',
    at: new Date(),
  });

test('a commit with files replaced is one that git takes for whole, with all other files and the modes as they were [T4]', async () => {
  const made = await replace({ 'deep/er/a.txt': 'b\n', 'run ünd.sh': 'exit 1\n', 'new.txt': 'newer\n' });
  // Of the three, one had been changed before.
  expect(made?.newlyChanged).toBe(2);
  const { commit } = made as Replaced;
  git('update-ref', 'refs/helix/tasks/t/2', commit);
  expect(git('fsck', '--strict', '--no-dangling')).toBe('');
  expect(git('rev-parse', `${commit}^`)).toBe(base);
  expect(git('show', `${commit}:deep/er/a.txt`)).toBe('b');
  expect(git('show', `${commit}:new.txt`)).toBe('newer');
  expect(git('diff-tree', '-r', '--name-status', onto, commit).split('\n')).toHaveLength(3);
  expect(git('ls-tree', commit, 'run ünd.sh')).toMatch(/^100755 blob/);
  // The same files once more are the same objects.
  expect(git('rev-parse', `${(await replace({ 'deep/er/a.txt': 'a\n' }))?.commit}^{tree}`)).toBe(git('rev-parse', `${onto}^{tree}`));
});

test('a file that is not there, one behind a link, a link and a folder are not replaced [T4]', async () => {
  for (const name of ['absent.txt', 'deep/absent.txt', 'link/er/a.txt', 'link', 'deep', 'new.txt/below'])
    expect(await replace({ [name]: 'x\n' })).toBeUndefined();
  expect(git('fsck', '--strict', '--no-dangling')).toBe('');
});

test('a checkpoint is kept although a server was killed while it wrote the same one [T4] [F3]', async () => {
  const mirrors = createMirrors(path.join(folder, 'mirrors'));
  const [project, task] = [newId('project'), newId('task')];
  const mirror = mirrors.folderOf(project);
  cpSync(gitDir, mirror, { recursive: true });
  mkdirSync(path.join(mirror, 'refs/helix/tasks', task), { recursive: true });
  writeFileSync(path.join(mirror, 'refs/helix/tasks', task, '2.lock'), '');
  const refs = createCheckpointRefs(mirrors);
  const made = await refs.keepWritten(project, task, 2, { onto, base, writes: [{ path: 'new.txt', bytes: Buffer.from('newer\n') }] });
  expect(git(`--git-dir=${mirror}`, 'rev-parse', `refs/helix/tasks/${task}/2`)).toBe(made?.commit);
  expect(await refs.treeOf(project, made?.commit ?? '')).toBe(git(`--git-dir=${mirror}`, 'rev-parse', `${made?.commit}^{tree}`));
  await mirrors.settled();
});
