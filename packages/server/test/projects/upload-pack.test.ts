import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { newId } from '@helixcode/protocol/ids';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { takeSnapshot } from '@helixcode/server/projects/take-snapshot';
import { createUploadPack } from '@helixcode/server/projects/upload-pack';
import { expect, onTestFinished, test } from 'vitest';
import { givenFolder, givenRepository } from './repository.ts';

test('git on the other end of a tunnel fetches a snapshot by its hash, shallow or without file contents', async () => {
  const repository = givenRepository();
  repository.commit({ 'a.txt': 'old' });
  const commit = repository.commit({ 'a.txt': 'new' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  await takeSnapshot(mirrors, project, commit, Readable.from([repository.bundle('main')]));
  const openUploadPack = createUploadPack(mirrors);

  // A unix socket plays the worker's link: git talks to it through its `ext` transport.
  const socket = path.join(givenFolder(), 'tunnel');
  const server: Server = createServer({ allowHalfOpen: true }, (connection) => {
    void openUploadPack(project).then(({ input, output, close }) => {
      connection.pipe(input);
      output.pipe(connection);
      connection.on('close', close);
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const relay = `const s=require('net').connect({path:${JSON.stringify(socket)},allowHalfOpen:true});process.stdin.pipe(s);s.pipe(process.stdout)`;

  for (const how of [['--depth=1'], ['--filter=blob:none'], []]) {
    const worker = givenRepository();
    const child = spawn(
      'git',
      [
        '-c',
        'protocol.ext.allow=always',
        'fetch',
        '--quiet',
        ...how,
        `ext::${process.execPath} -e ${relay.replaceAll('%', '%%').replaceAll(' ', '% ')}`,
        commit,
      ],
      {
        cwd: worker.folder,
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    );
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(worker.git('rev-parse', 'FETCH_HEAD')).toBe(commit);
  }
});

test('closing ends git, and a project without code is refused', async () => {
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const mirrors = createMirrors(givenFolder());
  const project = newId('project');
  const openUploadPack = createUploadPack(mirrors);
  await expect(openUploadPack(project)).rejects.toMatchObject({ code: 'project.not_found' });
  await expect(openUploadPack('../x')).rejects.toMatchObject({ code: 'project.not_found' });

  await takeSnapshot(mirrors, project, commit, Readable.from([repository.bundle('main')]));
  const { output, close } = await openUploadPack(project);
  const [first] = (await once(output, 'data')) as [Buffer];
  expect(first.toString()).toContain('version 2');
  const ended = once(output, 'close');
  output.resume();
  close();
  await ended;
  close();
});
