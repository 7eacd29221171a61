import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { newId } from '@helixcode/protocol/ids';
import { createCommitFiles } from '@helixcode/server/projects/commit-files';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { expect, test } from 'vitest';
import { givenFolder, givenRepository } from './repository.ts';

test('the files of a commit are listed and read, whatever their names and sizes', async () => {
  const repository = givenRepository();
  symlinkSync('package.json', path.join(repository.folder, 'link'));
  const big = 'line\n'.repeat(400_000);
  const files = {
    'package.json': '{}',
    'src/with space.ts': 'one',
    'src/new\nline.ts': 'two',
    'src/ünïcode.ts': 'dreißig',
    'big.txt': big,
    empty: '',
  };
  const commit = repository.commit(files);
  repository.commit({ 'later.ts': '' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  await mirrors.create(project, repository.folder);
  const openFiles = createCommitFiles(mirrors);

  const opened = await openFiles(project, commit);
  expect([...opened.paths].sort()).toEqual([...Object.keys(files), 'link'].sort());
  const read = await Promise.all(Object.keys(files).map(opened.read));
  expect(read).toEqual(Object.values(files));
  expect(await opened.read('link')).toBe('package.json');
  expect(await opened.read('absent')).toBeUndefined();
  expect(['big.txt', 'empty', 'src/ünïcode.ts', 'absent'].map(opened.sizeBytes)).toEqual([2_000_000, 0, 8, undefined]);
  expect(await openFiles(project, commit)).toBe(opened);
});

test('a commit that the server does not have is named', async () => {
  const mirrors = createMirrors(givenFolder());
  await expect(createCommitFiles(mirrors)(newId('project'), 'ab'.repeat(20))).rejects.toMatchObject({
    code: 'snapshot.refused',
    message: expect.stringContaining('abababababab'),
  });
});
