import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { newId } from '@helixcode/protocol/ids';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { expect, onTestFinished, test } from 'vitest';
import { givenFolder, givenRepository } from './repository.ts';

test('a mirror has the branches and tags of its source, and its default branch', async () => {
  const source = givenRepository();
  const first = source.commit({ 'a.txt': 'a' });
  source.git('tag', '-a', 'v1', '-m', 'one');
  source.git('branch', 'other');
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');

  expect(await mirrors.create(project, source.folder)).toEqual({ commit: first, defaultBranch: 'main' });

  const refs = await mirrors.git.text([`--git-dir=${mirrors.folderOf(project)}`, 'for-each-ref', '--format=%(refname)']);
  expect(refs.split('\n')).toEqual(['refs/heads/main', 'refs/heads/other', 'refs/tags/v1']);
  expect(await mirrors.tips(project)).toContain(first);
});

test('a fetch follows what moved and forgets what was deleted', async () => {
  const source = givenRepository();
  source.commit({ 'a.txt': 'a' });
  source.git('branch', 'other');
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  await mirrors.create(project, source.folder);

  source.git('branch', '-D', 'other');
  const second = source.commit({ 'a.txt': 'b' });
  expect(await mirrors.fetch(project, source.folder)).toEqual({ commit: second, defaultBranch: 'main' });

  const refs = await mirrors.git.text([`--git-dir=${mirrors.folderOf(project)}`, 'for-each-ref', '--format=%(refname) %(objectname)']);
  expect(refs).toBe(`refs/heads/main ${second}`);
});

test('a source that git cannot read is refused with what git said, and leaves nothing behind', async () => {
  const folder = givenFolder();
  const mirrors = createMirrors(folder);
  const nowhere = path.join(givenFolder(), 'nowhere');
  await expect(mirrors.create(newId('project'), nowhere)).rejects.toMatchObject({
    code: 'project.source_unreadable',
    message: `git cannot read ${nowhere}: '${nowhere}' does not appear to be a git repository`,
    next: `git ls-remote ${nowhere}`,
  });
  await expect(mirrors.create(newId('project'), 'http://127.0.0.1:9/none.git')).rejects.toMatchObject({
    code: 'project.source_unreadable',
    message: expect.stringContaining('127.0.0.1'),
  });
  expect(readdirSync(folder)).toEqual(['gitconfig']);
});

test('a repository without commits, a relative path, an option and a URL with a password are refused', async () => {
  const mirrors = createMirrors(givenFolder());
  const empty = givenRepository();
  const refused = (source: string): Promise<unknown> => mirrors.create(newId('project'), source).catch((error: unknown) => error);
  expect(await refused(empty.folder)).toMatchObject({ code: 'project.source_unreadable', message: `${empty.folder} has no commits yet` });
  expect(await refused('some/where')).toMatchObject({ code: 'project.source_unreadable' });
  expect(await refused('--upload-pack=touch /tmp/x')).toMatchObject({ code: 'project.source_unreadable' });
  expect(await refused('ext::sh -c true')).toMatchObject({
    code: 'project.source_unreadable',
    message: expect.stringContaining("'ext' not allowed"),
  });
  const withPassword = await refused('https://ada:secret@example.org/x.git');
  expect(withPassword).toMatchObject({ code: 'project.source_unreadable' });
  expect(String(withPassword)).not.toContain('secret');
});

test('hooks and settings of the machine have no effect on a mirror', async () => {
  const source = givenRepository();
  const commit = source.commit({ 'a.txt': 'a' });
  const home = givenFolder();
  mkdirSync(path.join(home, 'templates', 'hooks'), { recursive: true });
  const witness = path.join(home, 'hook-ran');
  writeFileSync(path.join(home, 'templates', 'hooks', 'reference-transaction'), `#!/bin/sh\ntouch ${witness}\n`, { mode: 0o755 });
  writeFileSync(path.join(home, 'config'), `[init]\n\ttemplateDir = ${home}/templates\n[core]\n\thooksPath = ${home}/templates/hooks\n`);
  process.env.GIT_CONFIG_GLOBAL = path.join(home, 'config');
  try {
    const mirrors = createMirrors(givenFolder());
    const project = newId('project');
    await mirrors.create(project, source.folder);
    expect(await mirrors.hasCommit(project, commit)).toBe(true);
  } finally {
    delete process.env.GIT_CONFIG_GLOBAL;
  }
  expect(readdirSync(home)).not.toContain('hook-ran');
});

test('a URL is read with the credentials that the person gave git, and never asks for them', async () => {
  const source = givenRepository();
  const commit = source.commit({ 'a.txt': 'a' });
  source.git('update-server-info');
  const server = createServer((request, response) => {
    if (request.headers.authorization !== `Basic ${btoa('ada:secret')}`)
      return response.writeHead(401, { 'www-authenticate': 'Basic realm="code"' }).end();
    createReadStream(path.join(source.folder, '.git', new URL(request.url ?? '', 'http://x').pathname))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const home = givenFolder();
  const mirrors = createMirrors(givenFolder());
  process.env.GIT_CONFIG_GLOBAL = path.join(home, 'config');
  try {
    writeFileSync(path.join(home, 'config'), '');
    await expect(mirrors.create(newId('project'), url)).rejects.toMatchObject({
      code: 'project.source_unreadable',
      message: expect.stringContaining('could not read Username'),
    });
    writeFileSync(path.join(home, 'config'), `[credential]\n\thelper = "!echo username=ada; echo password=secret; :"\n`);
    expect(await mirrors.create(newId('project'), url)).toMatchObject({ commit });
  } finally {
    delete process.env.GIT_CONFIG_GLOBAL;
  }
});

test.skipIf(process.getuid?.() !== 0)('a repository that belongs to another user can be registered', async () => {
  const source = givenRepository();
  const commit = source.commit({ 'a.txt': 'a' });
  execFileSync('chown', ['-R', '12345:12345', source.folder]);
  const mirrors = createMirrors(givenFolder());
  expect(await mirrors.create(newId('project'), source.folder)).toMatchObject({ commit });
});

test('what an interrupted server left of a mirror is cleared away', () => {
  const folder = givenFolder();
  mkdirSync(path.join(folder, '.new-prj_1-abcd'));
  createMirrors(folder);
  expect(readdirSync(folder)).toEqual(['gitconfig']);
});

test('a repository with sha256 hashes is mirrored with them', async () => {
  const source = givenRepository('--object-format=sha256');
  const commit = source.commit({ 'a.txt': 'a' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  expect(await mirrors.create(project, source.folder)).toMatchObject({ commit });
  expect(await mirrors.hasCommit(project, commit)).toBe(true);
});
