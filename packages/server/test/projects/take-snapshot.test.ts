import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { newId } from '@helixcode/protocol/ids';
import { createMirrors, type Mirrors } from '@helixcode/server/projects/mirror';
import { takeSnapshot } from '@helixcode/server/projects/take-snapshot';
import { expect, test } from 'vitest';
import { givenFolder, givenRepository } from './repository.ts';

const streamOf = (...pieces: Uint8Array[]): Readable => Readable.from(pieces);

/** Everything in the object store, and every ref. */
async function contentOf(mirrors: Mirrors, project: ReturnType<typeof newId<'project'>>): Promise<string[]> {
  await mirrors.settled();
  const gitDir = mirrors.folderOf(project);
  const files = readdirSync(path.join(gitDir, 'objects'), { recursive: true }) as string[];
  const refs = await mirrors.git.text([`--git-dir=${gitDir}`, 'for-each-ref']);
  return [...files.sort(), refs];
}

test('a snapshot becomes a commit of the mirror, and later bundles need only what is new', async () => {
  const repository = givenRepository();
  const first = repository.commit({ 'a.txt': 'a'.repeat(10_000), 'sub/ b\n.txt': 'b' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  expect(await mirrors.tips(project)).toEqual([]);

  await takeSnapshot(mirrors, project, first, streamOf(repository.bundle('main')));
  expect(await mirrors.tips(project)).toEqual([first]);

  const second = repository.commit({ 'new.txt': 'new' });
  await takeSnapshot(mirrors, project, second, streamOf(repository.bundle('main', `^${first}`)));
  expect(new Set(await mirrors.tips(project))).toEqual(new Set([first, second]));
  expect(await mirrors.git.text([`--git-dir=${mirrors.folderOf(project)}`, 'fsck', '--connectivity-only'])).toBe('');
});

test('a bundle that builds on unknown commits is refused and leaves nothing behind', async () => {
  const repository = givenRepository();
  const first = repository.commit({ 'a.txt': 'a' });
  const second = repository.commit({ 'b.txt': 'b' });
  const third = repository.commit({ 'c.txt': 'c' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  repository.git('branch', 'old', first);
  await takeSnapshot(mirrors, project, first, streamOf(repository.bundle('old')));
  const before = await contentOf(mirrors, project);

  await expect(takeSnapshot(mirrors, project, third, streamOf(repository.bundle('main', `^${second}`)))).rejects.toMatchObject({
    code: 'snapshot.refused',
    message: expect.stringContaining('builds on commits that the project does not have'),
  });
  expect(await contentOf(mirrors, project)).toEqual(before);
});

test('garbage, a cut bundle and a bundle of something else are refused and leave nothing behind', async () => {
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a', 'b.txt': 'b' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  const bundle = repository.bundle('main');
  const refused = (content: Buffer, of = commit): Promise<unknown> =>
    takeSnapshot(mirrors, project, of, streamOf(content)).catch((error: unknown) => error);

  expect(await refused(Buffer.from('no bundle at all'))).toMatchObject({ code: 'snapshot.refused' });
  const before = await contentOf(mirrors, project);
  expect(await refused(Buffer.alloc(0))).toMatchObject({ code: 'snapshot.refused' });
  expect(await refused(bundle.subarray(0, bundle.length - 30))).toMatchObject({ code: 'snapshot.refused' });
  expect(await refused(bundle, 'f'.repeat(40))).toMatchObject({
    code: 'snapshot.refused',
    message: expect.stringContaining('does not hold that commit'),
  });
  expect(await contentOf(mirrors, project)).toEqual(before);
});

test('a bundle whose objects are not complete is refused and leaves nothing behind', async () => {
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a', 'b.txt': 'b' });
  const onlyTheCommit = Buffer.concat([
    Buffer.from(`# v2 git bundle\n${commit} refs/heads/main\n\n`),
    packOf(repository.folder, `${commit}\n`),
  ]);
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  await mirrors.ensure(project, 'sha1');
  const before = await contentOf(mirrors, project);
  await expect(takeSnapshot(mirrors, project, commit, streamOf(onlyTheCommit))).rejects.toMatchObject({ code: 'snapshot.refused' });
  expect(await contentOf(mirrors, project)).toEqual(before);
});

test('a bundle over the limit, and one whose sender goes away, leave nothing behind', async () => {
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  await mirrors.ensure(project, 'sha1');
  const before = await contentOf(mirrors, project);

  await expect(
    takeSnapshot(mirrors, project, commit, streamOf(Buffer.alloc(600), Buffer.alloc(600)), { maxBytes: 1000 }),
  ).rejects.toMatchObject({
    code: 'api.payload_too_large',
  });

  const sender = new Readable({ read() {} });
  sender.push(repository.bundle('main').subarray(0, 100));
  const taking = takeSnapshot(mirrors, project, commit, sender);
  sender.destroy(new Error('connection reset'));
  await expect(taking).rejects.toThrow('connection reset');
  expect(await contentOf(mirrors, project)).toEqual(before);
});

test('snapshots sent at the same time are all kept', async () => {
  const repository = givenRepository();
  const commits = [1, 2, 3, 4].map((n) => {
    const commit = repository.commit({ 'n.txt': String(n) });
    repository.git('branch', `b${n}`);
    return commit;
  });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  await Promise.all(commits.map((commit, index) => takeSnapshot(mirrors, project, commit, streamOf(repository.bundle(`b${index + 1}`)))));
  expect(new Set(await mirrors.tips(project))).toEqual(new Set(commits));
  expect(existsSync(mirrors.folderOf(project))).toBe(true);
});

function packOf(folder: string, objects: string): Buffer {
  return execFileSync('git', ['pack-objects', '--stdout', '-q'], { cwd: folder, input: objects });
}
